"""Mutations: small faults put into the code, one at a time, to see whether a test fails for each.

    python -m tests.mutation                     300 mutants of the core, a seeded sample; the table at the end
    python -m tests.mutation --count 500 --seed 7 --package app/outgoing
    python -m tests.mutation --only 3f2a91c0     one mutant again, after a test was written for it (several: a,b)
    python -m tests.mutation --only 3f2a91c0 --tests tests/contract/test_lanes.py     with these tests
    python -m tests.mutation --show 3f2a91c0     what it changes, without running anything
    python -m tests.mutation --named             the faults of named.toml

Everything happens in copies of the tree under a temporary folder; the results stand in `.data/mutation/results.ndjson`,
survivors with their diff. A mutant's id names its file, function, change and the changed text, not the line, so that it stays
the same while other code moves. Which tests run a line is traced first (some minutes; kept in `.data/mutation/trace`, and
taken again for test files that have changed, or when the code has); a mutant is then tried with those tests only, the quick
ones first. A mutant whose tests don't end counts as killed, and is told apart.

model.py        a mutant, its id, the packages, the sample
python_code.py  mutants of Python, from its syntax tree
lua_code.py     mutants of Lua, from its tokens
lua_tokens.py   the tokens, and the blocks that are traced
tracing.py      a plugin of pytest that notes which tests run which lines
runner.py       a process with a copy of the tree, which runs one mutant after another
trace.py        what was traced, by test file
campaign.py     copies, runners, results
named.toml      faults that tests must find, each a textual patch
survivors.toml  mutants that no test can or need find, each with its reason
"""
