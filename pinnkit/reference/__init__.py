"""References: what a solution is compared with, each with its own error."""
