"""What runs in the helper process: it forks, shuts the fork in, and lets it run untrusted code.

The helper is `python -s -S -P` with an empty environment: no site packages, not even this one. So these files import
the standard library and each other, relatively, and nothing else.
"""
