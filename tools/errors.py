"""What can go wrong in a tool, and who acts next.

ToolError
├── ToolRetry    the model: the call was wrong, a corrected one may work
│   └── WorkspaceError   the path is illegal, leaves the workspace, or is not what the call needs
└── ToolFailed   the model: the call was fine, the tool could not do it; do not repeat it
    ├── ToolStopped      a person: nobody waits for the tool any more, its outcome is unknown
    ├── ToolHung         the same, after its time was over
    └── TuningSpent      nobody: the run's time for tuning is used up, so the run ends
"""


class ToolError(Exception):
    """A tool's failure that the model is shown as an observation. The text is the observation."""


class ToolRetry(ToolError):
    """The call was wrong; the message says what a right one looks like."""


class WorkspaceError(ToolRetry):
    """The workspace does not do that with this path; one line that says why and what would work."""


class ToolFailed(ToolError):
    """The call was right, but the tool could not do it; repeating it will not help."""


class ToolStopped(ToolFailed):
    """The wait for the tool was broken off; what it was to do may still happen."""


class ToolHung(ToolFailed):
    """The tool did not answer in its time; what it was to do may still happen."""


class TuningSpent(ToolFailed):
    """The run's time for tuning is used up; what is shown says what it was used for."""
