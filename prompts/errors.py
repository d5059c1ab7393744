"""What can go wrong with a prompt: it is always our mistake, never the model's or the person's."""


class PromptError(Exception):
    """A prompt file or the values given to it are wrong; the message names the file."""
