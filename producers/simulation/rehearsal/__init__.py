"""Rehearse lives on the real core: any order, any fault, time moved by hand, judged at the end."""
