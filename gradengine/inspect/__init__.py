"""Looking at what the engine does: the gradient checker and the check of this machine's backends."""
