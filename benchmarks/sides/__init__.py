"""What is compared: each file is a process, `python -m sides.NAME JOB.json`."""
