"""The simulated outside world: backends that publish ticket lives, a partner that receives."""
