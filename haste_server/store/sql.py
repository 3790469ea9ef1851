"""The store of a server, on SQLite or MariaDB."""

from __future__ import annotations

from dataclasses import dataclass

from haste_server.store.alerting import Alerting
from haste_server.store.alerts import Alerts
from haste_server.store.audit import Audit
from haste_server.store.deciding import Deciding
from haste_server.store.emptying import Emptying
from haste_server.store.events import Events
from haste_server.store.failed_logins import FailedLogins
from haste_server.store.figures import Figures
from haste_server.store.handout import HandOut
from haste_server.store.held_uploads import HeldUploads
from haste_server.store.history import History
from haste_server.store.image_sets import ImageSets
from haste_server.store.jobs import Jobs
from haste_server.store.monitoring import Monitoring
from haste_server.store.objects import Objects
from haste_server.store.originals import Originals
from haste_server.store.passing_on import PassingOn
from haste_server.store.preview import Preview
from haste_server.store.priorities import Priorities
from haste_server.store.projects import Projects
from haste_server.store.revising import Revising
from haste_server.store.streams import Streams
from haste_server.store.submission import Submission
from haste_server.store.tokens import Tokens
from haste_server.store.user_actions import UserActions
from haste_server.store.workers import Workers


@dataclass(frozen=True)
class SqlStore(
    Figures,
    Submission,
    Jobs,
    UserActions,
    Priorities,
    HandOut,
    History,
    Deciding,
    ImageSets,
    Revising,
    Objects,
    Originals,
    PassingOn,
    Emptying,
    Preview,
    Streams,
    Workers,
    Alerting,
    Alerts,
    Events,
    Tokens,
    FailedLogins,
    HeldUploads,
    Projects,
    Audit,
    Monitoring,
):
    """All ports of `haste_core` that end in ``Store``, on one database."""
