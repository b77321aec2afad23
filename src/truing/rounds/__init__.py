"""Sample, score, select, train, evaluate; then again.

run        the rounds themselves, resumable at any point
selection  what is trained on of a prompt's scored samples
verdict    how good each round's model is, whether to stop, which one to keep
"""
