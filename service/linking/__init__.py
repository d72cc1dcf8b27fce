"""Linking: which accounts are one, and how sure that is.

Cluster neutrally, judge separately. Sightings of keys (``sightings``, prompts joined by ``prompts``, derived kinds by
``derived``) are weighed by surprise, pairs that share surprising keys are tied (``pairs``), ties cut into groups
(``communities``), membership tested account by account (``membership``); only then is a group judged by what its
sharing looks like once everything that an organisation explains is taken away (``traits``, ``judge``). ``evidence``
says why in figures that others can check. No I/O, no clock; the same sightings give the same campaigns.
"""
