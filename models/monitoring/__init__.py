"""What operations watch: the state of the whole, and of each operator."""
