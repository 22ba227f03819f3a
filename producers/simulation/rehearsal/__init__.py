"""Rehearse lives on the real code: any order, any fault, simulated time, checked at the end."""
