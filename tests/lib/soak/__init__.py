"""soak: hours of everything at once.

main   the run: lab up, churn until the time is over, quiet, verdict
churn  what is done: names, clients, flows, reloads, restarts, floods, weather
watch  what is looked at meanwhile, and what it must be at the end
"""
