"""The core: what a task's events mean and what is to happen next. Plain functions over frozen data.

Rule of this house: nothing here waits, draws, looks at a clock or reaches the world; time, ids and settings come in as
arguments. `evolve` folds, `decide` answers commands, `advance` asks what is due, `react` turns a decision into work.
"""
