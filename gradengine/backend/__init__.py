"""Where ops run: what a backend owes (`backend`, `kernel_table`), which there are (`devices`), and arrays on a GPU."""
