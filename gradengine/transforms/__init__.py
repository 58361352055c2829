"""Functions of functions: gradients (`gradients`), as JAX and autograd have them."""
