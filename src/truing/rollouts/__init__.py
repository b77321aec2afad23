"""Where responses come from: the policy answers prompts.

`local` samples in this process; others (a vLLM server, an OpenAI-compatible one) hand back the same `Sample`s.
"""
