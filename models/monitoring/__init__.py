"""What monitoring reads: the state of the whole, and of each operator."""
