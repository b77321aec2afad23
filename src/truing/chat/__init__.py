"""Messages to tokens and masks, and back: the only home of chat templates.

| file | subject |
|---|---|
| `conversation` | `Chat`: what the other rooms use; limits and counts |
| `form` | one template with one tokenizer: prompt tokens, response tokens, end of turn |
| `skeleton` | a rendered conversation cut into what the template wrote and what people wrote |
| `twin` | the tokenizer whose special tokens no text can spell |
| `markers` | turn markers that are ordinary text, and how contents are kept from forging them |
| `render` | the sandbox that runs templates |
| `templates` | the named templates and the choice among them |
"""

from truing.chat.conversation import Chat, Counts, Encoded, Truncation

__all__ = ["Chat", "Counts", "Encoded", "Truncation"]
