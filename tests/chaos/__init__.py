"""The fault campaign: a whole house under load while everything that can be broken on one machine is broken.

make chaos ARGS='--seconds 300 --seed 7 --kills 60'

house.py      the processes: server, stand-in, three live workers, two of everything else, and their clocks
load.py       planning: creates, moves, cancels, registrations, forced updates, generic requests; what was acknowledged
faults.py     the fault script of a seed, and how each fault is staged
judge.py      what the API answers and the stand-in's journal say about it, and nothing else
campaign.py   one run, from the first match to the report
"""
