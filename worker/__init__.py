"""The processes: stream intake, delivery, sweep, schedule, health and the command line.

May import `models`; never `producers` (the command line alone puts the two together).
"""
