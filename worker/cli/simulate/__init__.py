"""`slipway simulate`: ticket lives on the real core, with faults, on a clock moved by hand."""
