"""What time alone does to tickets: closing, the end of parking windows, retention."""
