"""The fault campaign: a whole deployment under load while everything that can be broken on one machine is broken.

make chaos ARGS='--seconds 300 --seed 7 --kills 60'
make chaos ARGS='--scenario restarts --seconds 120'     one kind of fault, and how late things are because of it

deployment.py         the processes: server, stand-in, three live workers, three of the events', two of everything else, their clocks
load.py          planning: creates, moves, cancels, registrations, forced updates, generic requests; what was acknowledged
overtaking.py    bulk calls that overtake each other
publishing.py    publishers of events; what was acknowledged
subscribers.py   webhooks that note what they receive, and doors before Kinesis and SNS: a process of its own
far_aws.py       the stream and the topic, in moto
stream.py        the subscriptions, and what publishers and subscribers have seen
scenarios.py     what is broken in a campaign, under which load, and the goals
script.py        the fault script of a seed
faults.py        how each fault is staged
operating.py     operators who pause, replay and change subscriptions meanwhile
judge.py         what the API answers and the stand-in's journal say about requests, and nothing else
stream_judge.py  what publishers were answered and subscribers have received says about events, and nothing else
measures.py      how late things were, by the same two; measuring.py puts that into the report
campaign.py      one run, from the first match to the verdict
put_back.py      mended faults put back, to see that the campaign finds them
report.py        what it was made of, and what it has shown
"""
