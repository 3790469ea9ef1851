"""Alerts: new scores until they are judged, how rules stand, what was raised, and what is to be delivered."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from haste_core.alert_rules import SUBSTREAM, AlertRule, Finished, ScoreRule
from haste_core.alert_stores import AlertRecord, DueDelivery
from haste_core.alerts import (
    MAX_GROUP,
    Counts,
    Fills,
    Raised,
    RuleState,
    Scored,
    StreamView,
    group_of,
    look,
    may_rest,
    note_score,
    wanted_fields,
    watches_scores,
)
from haste_core.states import TaskState
from haste_server.store.alerts import alert_record
from haste_server.store.decision_rows import About, Made
from haste_server.store.many_rows import insert, overwrite
from haste_server.store.records import COMPLETED_AT, SqlPart
from haste_server.store.schema import (
    alert_deliveries,
    alert_rule_states,
    alert_scores,
    alert_watches,
    alerts,
    jobs,
    streams,
)

BATCH = 200  # new scores in one transaction
_OPEN_STATES = [state for state in TaskState if not state.ended]

_Key = tuple[int, str]


def tell_scores(connection: Connection, made: Iterable[tuple[int, Made]]) -> None:
    """Keep new scores for the rules of their streams, in the transaction that stores the decisions.

    An image whose object is decided about once more is not a new one.
    """
    rows = [
        {
            "decision_id": number,
            "stream_id": one.about.stream_id,
            "source_id": one.about.source_id,
            "score": one.decision.score,
            "fields": _fields_of(one.about, wanted_fields(one.pipeline.alerts)),
        }
        for number, one in made
        if watches_scores(one.pipeline.alerts) and one.about.holds_tier and one.about.supersedes is None
    ]
    if rows:
        connection.execute(sa.insert(alert_scores), rows)


def wake_watch(connection: Connection, stream_ids: Collection[str]) -> None:
    """Have streams with rules watched, in the transaction that stores new jobs of theirs."""
    for stream_id in sorted(stream_ids):
        # Also where it does not rest: who looks at the stream now may be about to let it rest.
        if not connection.execute(_WAKE, {"name": stream_id}).rowcount:
            connection.execute(sa.insert(alert_watches), {"stream_id": stream_id, "resting": False})


def watch_again(connection: Connection, stream_ids: Collection[str]) -> None:
    """Have streams watched whose objects move: their tiers fill. Those without rules are not."""
    for stream_id in sorted(stream_ids):
        connection.execute(_WAKE, {"name": stream_id})


def await_end_again(connection: Connection, rules: Mapping[str, Sequence[AlertRule]]) -> None:
    """Have the end told again of streams whose jobs somebody runs again, with the streams' rules."""
    watch_again(connection, rules.keys())
    for stream_id in sorted(rules):
        places = [place for place, rule in enumerate(rules[stream_id]) if isinstance(rule, Finished)]
        connection.execute(_UNRAISE, {"name": stream_id, "places": places})


class Alerting(SqlPart):
    """The engine's view of alerts; see `haste_core.alert_stores.AlertingStore`."""

    def watched(self) -> list[str]:
        """Name the streams with rules in which something may become true now."""
        rows = self.database.read(lambda connection: connection.execute(_WATCHED).all())
        return [row.stream_id for row in rows]

    def judge(
        self, stream_id: str, *, now: float, listening_since: float, fills: Fills, channels: Sequence[str]
    ) -> tuple[list[AlertRecord], bool]:
        """Let a stream's rules judge what is new, and store what they raise."""

        def work(connection: Connection) -> tuple[list[AlertRecord], bool]:
            watch = connection.execute(_HOLD_WATCH, {"name": stream_id}).one()  # one engine at a time
            rules = self.plans_of(connection, [stream_id])[stream_id].alerts
            new = connection.execute(_NEW_SCORES, {"name": stream_id, "most": BATCH}).all()
            before = _rule_states(connection, stream_id, rules, new)
            after, raised = _judge_scores(rules, new, before)
            view = _view(connection, stream_id, now, listening_since, fills)
            of_stream = {place: stood for (place, group), stood in before.items() if not group}
            judged, told = look(rules, view, of_stream)
            after |= {(place, ""): stood for place, stood in judged.items()}
            self._save_rule_states(connection, stream_id, before, after)
            if new:
                connection.execute(_DROP_SCORES, {"ids": [row.decision_id for row in new]})
            rests = len(new) < BATCH and may_rest(rules, view, judged)
            if rests != watch.resting:
                connection.execute(_LET_REST, {"name": stream_id, "rests": rests})
            records = [_raise(connection, stream_id, one, channels, now) for one in [*raised, *told]]
            return records, len(new) == BATCH

        return self.database.write(work)

    def next_delivery(self, channel: str, *, now: float, claim_s: float) -> DueDelivery | None:
        """Take the first alert that is due on a channel."""
        wanted = {"channel": channel, "now": now}
        if self.database.read(lambda connection: connection.execute(_DUE, wanted).first()) is None:
            return None

        def work(connection: Connection) -> DueDelivery | None:
            row = connection.execute(_TAKE_DUE, wanted).first()
            if row is None:
                return None
            claimed = {"id": row.alert_id, "name": channel, "until": now + claim_s}
            connection.execute(_CLAIM, claimed)
            found = connection.execute(sa.select(alerts).where(alerts.c.alert_id == row.alert_id)).one()
            return DueDelivery(alert_record(found, ()), row.failures)

        return self.database.write(work)

    def note_delivery(self, alert_id: int, channel: str, *, now: float, trouble: str = "") -> None:
        """Record that an alert was delivered."""
        self._note(alert_id, channel, due_at=None, delivered_at=now, trouble=trouble)

    def note_failure(self, alert_id: int, channel: str, *, due_at: float | None, trouble: str) -> None:
        """Record that it was not."""
        failures = alert_deliveries.c.failures + 1
        self._note(alert_id, channel, due_at=due_at, trouble=trouble, failures=failures)

    def _note(self, alert_id: int, channel: str, **values: Any) -> None:
        changed = (
            sa.update(alert_deliveries)
            .where(alert_deliveries.c.alert_id == alert_id, alert_deliveries.c.channel == channel)
            .values(values)
        )
        self.database.write(lambda connection: connection.execute(changed))

    def _save_rule_states(
        self,
        connection: Connection,
        stream_id: str,
        before: Mapping[_Key, RuleState],
        after: Mapping[_Key, RuleState],
    ) -> None:
        def rows(keys: Iterable[_Key]) -> list[dict[str, Any]]:
            return [
                {"stream_id": stream_id, "rule": place, "group_name": group, **asdict(after[place, group])}
                for place, group in keys
            ]

        changed = [key for key, stood in after.items() if stood != before.get(key)]
        if new := rows(key for key in changed if key not in before):
            insert(self.database, connection, alert_rule_states, new)
        if known := rows(key for key in changed if key in before):
            overwrite(
                self.database, connection, alert_rule_states, known, ["images", "low", "first", "raised"]
            )


def _fields_of(about: About, names: Iterable[str]) -> dict[str, str]:
    given = {**about.circumstances["metadata"], SUBSTREAM: about.circumstances.get(SUBSTREAM)}
    found = {name: given.get(name) for name in names}
    return {name: str(value)[:MAX_GROUP] for name, value in found.items() if isinstance(value, str | int)}


def _rule_states(
    connection: Connection, stream_id: str, rules: Sequence[AlertRule], new: Sequence[Row[Any]]
) -> dict[_Key, RuleState]:
    """Load how the rules stand, of their wells those to which new scores belong."""
    groups = {group_of(rule, _scored(row)) for rule in rules for row in new} | {""}
    wanted = {"name": stream_id, "groups": sorted(group for group in groups if group is not None)}
    rows = connection.execute(_RULE_STATES, wanted)
    return {(row.rule, row.group_name): RuleState(row.images, row.low, row.first, row.raised) for row in rows}


def _judge_scores(
    rules: Sequence[AlertRule], new: Sequence[Row[Any]], before: Mapping[_Key, RuleState]
) -> tuple[dict[_Key, RuleState], list[Raised]]:
    after: dict[_Key, RuleState] = {}
    raised = []
    for scored in map(_scored, new):
        for place, rule in enumerate(rules):
            if not isinstance(rule, ScoreRule) or (group := group_of(rule, scored)) is None:
                continue
            key = (place, group)
            stood = after.get(key) or before.get(key) or RuleState()
            after[key], told = note_score(rule, group, scored, stood)
            raised += [] if told is None else [told]
    return after, raised


def _scored(row: Row[Any]) -> Scored:
    return Scored(row.source_id, row.score, row.fields)


def _view(
    connection: Connection, stream_id: str, now: float, listening_since: float, fills: Fills
) -> StreamView:
    named = {"name": stream_id}
    newest = connection.execute(_NEWEST, named).first()
    return StreamView(
        now=now,
        last_source="" if newest is None else newest.source_id,
        last_arrival_at=None if newest is None else newest.created_at,
        last_end_at=connection.scalar(_LAST_END, named),
        open=connection.scalar(_ANY_OPEN, named) is not None,
        complete=connection.scalar(_COMPLETED_AT, named) is not None,
        listening_since=listening_since,
        counts=partial(_counts, connection, stream_id),
        fills=fills,
    )


def _counts(connection: Connection, stream_id: str) -> Counts:
    rows = connection.execute(_BY_STATE, {"name": stream_id}).all()

    def number(wanted: Callable[[TaskState], bool]) -> int:
        return sum(row.number for row in rows if wanted(row.state))

    return Counts(
        done=number(lambda state: state.succeeded),
        failed=number(lambda state: state.failed),
        cancelled=number(lambda state: state is TaskState.CANCELLED),
    )


def _raise(
    connection: Connection, stream_id: str, raised: Raised, channels: Sequence[str], now: float
) -> AlertRecord:
    alert = AlertRecord(
        alert_id=0,  # the database gives it
        event_id=uuid.uuid4().hex,
        stream_id=stream_id,
        rule=raised.rule,
        raised_at=now,
        message=raised.message,
        details=dict(raised.details),
    )
    row = {name: value for name, value in asdict(alert).items() if name in alerts.c and name != "alert_id"}
    alert_id = connection.execute(sa.insert(alerts), row).lastrowid
    if channels:
        due = {"alert_id": alert_id, "due_at": now, "failures": 0, "trouble": ""}
        connection.execute(sa.insert(alert_deliveries), [{**due, "channel": name} for name in channels])
    return replace(alert, alert_id=alert_id)


_NAME: sa.BindParameter[str] = sa.bindparam("name")
_WATCHED = (
    sa.select(alert_watches.c.stream_id)
    .where(alert_watches.c.resting.is_(False))
    .union(sa.select(alert_scores.c.stream_id))
    .order_by("stream_id")
)
_WAKE = (
    sa.update(alert_watches)
    .where(alert_watches.c.stream_id == sa.bindparam("name"))
    .values(resting=sa.literal(False))
)
_UNRAISE = (
    sa.update(alert_rule_states)
    .where(
        alert_rule_states.c.stream_id == sa.bindparam("name"),
        alert_rule_states.c.rule.in_(sa.bindparam("places", expanding=True)),
    )
    .values(raised=sa.literal(False))
)
_LET_REST = (
    sa.update(alert_watches)
    .where(alert_watches.c.stream_id == sa.bindparam("name"))
    .values(resting=sa.bindparam("rests"))
)
_HOLD_WATCH = sa.select(alert_watches).where(alert_watches.c.stream_id == _NAME).with_for_update()
_NEW_SCORES = (
    sa.select(alert_scores)
    .where(alert_scores.c.stream_id == _NAME)
    .order_by(alert_scores.c.decision_id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_DROP_SCORES = sa.delete(alert_scores).where(
    alert_scores.c.decision_id.in_(sa.bindparam("ids", expanding=True))
)
_RULE_STATES = sa.select(alert_rule_states).where(
    alert_rule_states.c.stream_id == _NAME,
    alert_rule_states.c.group_name.in_(sa.bindparam("groups", expanding=True)),
)
_NEWEST = (
    sa.select(jobs.c.source_id, jobs.c.created_at)
    .where(jobs.c.stream_id == _NAME)
    .order_by(jobs.c.job_id.desc())
    .limit(1)
)
_LAST_END = sa.select(sa.func.max(jobs.c.ended_at)).where(jobs.c.stream_id == _NAME)
_ANY_OPEN = sa.select(jobs.c.job_id).where(jobs.c.stream_id == _NAME, jobs.c.state.in_(_OPEN_STATES)).limit(1)
_COMPLETED_AT = sa.select(COMPLETED_AT).where(streams.c.stream_id == _NAME)
_BY_STATE = (
    sa.select(jobs.c.state, sa.func.count().label("number"))
    .where(jobs.c.stream_id == _NAME)
    .group_by(jobs.c.state)
)
_DUE = (
    sa.select(alert_deliveries.c.alert_id, alert_deliveries.c.failures)
    .where(
        alert_deliveries.c.channel == sa.bindparam("channel"),
        alert_deliveries.c.due_at <= sa.bindparam("now"),
    )
    .order_by(alert_deliveries.c.due_at, alert_deliveries.c.alert_id)
    .limit(1)
)
_TAKE_DUE = _DUE.with_for_update(skip_locked=True)
_CLAIM = (
    sa.update(alert_deliveries)
    .where(
        alert_deliveries.c.alert_id == sa.bindparam("id"), alert_deliveries.c.channel == sa.bindparam("name")
    )
    .values(due_at=sa.bindparam("until"))
)
