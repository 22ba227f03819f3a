"""What each process tells Prometheus. Counted per chunk or batch, never per event.

What a process counts itself (`intake`, `delivery`, `sweeping`, `beat`), what one process looks up
for all of them (`surveyor`), and how it is shown (`page`, `step`). Names, labels and alerts are
explained on the page beside this file.
"""
