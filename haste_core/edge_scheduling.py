"""What a microscope's computer does next: which image to preprocess, which to send, or nothing now.

One link and a few cores work side by side. Every byte that preprocessing saves before its image is sent lets
the link end earlier; so the cores take what saves most per CPU second, and the link what is preprocessed
already, or else what would save least. Times are passed in; nothing here reads a clock.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from dataclasses import dataclass, field

from haste_core.estimators import Budget, Expectation, Prospects, SmoothCourse

FEWEST_COMMITTED = 2  # one on the way, one at hand
MOST_COMMITTED = 20
_MEMORY_S = 30.0  # of the link's speed: older transfers count less and less
_ARRIVING_S = 5.0  # without an arrival, after which no more are expected


class Link:
    """What is known of the link: how fast it is, and how many images it needs at hand.

    Images are told apart by any name; several schedules may share a link.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, tuple[float, bool]] = {}
        self._committed_bytes = 0.0
        self._sending_since = 0.0
        self._bytes = self._busy_s = 0.0
        self._transfer_s = self._handover_s = 0.0

    def __contains__(self, image: Hashable) -> bool:
        return image in self._under_way

    @property
    def under_way(self) -> int:
        """Images that were handed to the link and are not through yet."""
        return len(self._under_way)

    @property
    def bytes_per_s(self) -> float | None:
        """Bytes that came through in a second in which there was something to send, of late."""
        return self._bytes / self._busy_s if self._busy_s > 0 and self._bytes > 0 else None

    @property
    def depth(self) -> int:
        """How many images are to be at the link, so that it finds the next one when it is through with one.

        What is committed raw cannot be preprocessed any more, so they are as few as cover a hand-over.
        """
        if not self._transfer_s:
            return FEWEST_COMMITTED
        needed = 1 + math.ceil(self._handover_s / self._transfer_s)
        return min(max(needed, FEWEST_COMMITTED), MOST_COMMITTED)

    def dry_after_s(self, further_bytes: float, now: float) -> float:
        """Tell for how long the link is busy with what it was handed and further bytes, less a hand-over.

        Infinite as long as its speed is not known.
        """
        rate = self.bytes_per_s
        if rate is None:
            return math.inf
        at_hand_s = max(0.0, self._committed_bytes / rate - (now - self._sending_since))
        return at_hand_s + further_bytes / rate - self._handover_s

    def started(self, image: Hashable, size_bytes: int, now: float) -> None:
        """Note that an image was handed to the link."""
        if not self._under_way:
            self._sending_since = now
        self._under_way[image] = (now, not self._under_way)
        self._committed_bytes += size_bytes

    def dropped(self, image: Hashable, size_bytes: int, now: float) -> None:
        """Note that an image did not get through."""
        del self._under_way[image]
        self._committed_bytes -= size_bytes
        self._sending_since = now

    def ended(self, image: Hashable, size_bytes: int, duration_s: float, now: float) -> None:
        """Note that an image got through: its transfer took `duration_s`."""
        started_at, was_alone = self._under_way.pop(image)
        self._committed_bytes -= size_bytes
        took_s = max(0.0, now - self._sending_since)
        self._sending_since = now
        faded = math.exp(-took_s / _MEMORY_S)
        self._bytes = self._bytes * faded + size_bytes
        self._busy_s = self._busy_s * faded + took_s
        self._transfer_s = _drawn(self._transfer_s, duration_s)
        if was_alone:
            self._handover_s = _drawn(self._handover_s, max(0.0, now - started_at - duration_s))


def _drawn(mean: float, newest: float) -> float:
    return newest if not mean else mean + 0.2 * (newest - mean)


@dataclass
class EdgeSchedule:
    """The images of a microscope's computer, told of what happens and asked for what is next.

    Nothing changes by asking: who fills several free slots tells after each choice that it has started, and
    what could not be claimed after all is `lost`.

    All but the link's speed follows from what the store knows of each image, so a restart tells it again:
    which have arrived, and what preprocessing did, in the order in which it did; those that were sent are
    only `recalled`.

    Attributes
    ----------
    cores : int
        That preprocess at the same time, at most.
    link : Link
    name : str
        Of the stream; schedules that share a link have different ones.
    fits_itself : bool
        False: the nature of the course is found by whoever takes a `twin`, and brings it back.
    """

    cores: int
    link: Link = field(default_factory=Link)
    name: str = ""
    fits_itself: bool = True
    _prospects: Prospects = field(init=False)
    _sizes: dict[int, int] = field(default_factory=dict)
    _preprocessing: set[int] = field(default_factory=set)
    _to_send: set[int] = field(default_factory=set)  # preprocessed, or not to be
    _turns: dict[int, int] = field(default_factory=dict)  # in which they became so; kept until they are sent
    _queue: list[tuple[int, int]] = field(default_factory=list)  # a heap of (turn, index); some are sent
    _turn: int = 0
    _unsent_bytes: float = 0.0  # of all that are known
    _waiting_bytes: float = 0.0  # of those that the link could be handed now
    _arrived_at: float = -math.inf

    def __post_init__(self) -> None:
        self._prospects = Prospects(fits_itself=self.fits_itself)

    @property
    def is_empty(self) -> bool:
        """Whether all that is known was sent."""
        return not self._sizes

    @property
    def waiting_bytes(self) -> float:
        """Bytes that could be handed to the link now."""
        return self._waiting_bytes

    @property
    def fit_is_due(self) -> bool:
        """Whether a `twin` should be fitted."""
        return self._prospects.fit_is_due

    def twin(self) -> SmoothCourse:
        """Copy what is known of the worth, to be fitted while this schedule goes on."""
        return self._prospects.twin()

    def adopt(self, twin: SmoothCourse) -> None:
        """Go on with a twin that was fitted."""
        self._prospects.adopt(twin)

    def arrived(self, index: int, size_bytes: int, now: float, *, as_it_is: bool = False) -> None:
        """Note a new image, by its place in the stream and its size.

        Parameters
        ----------
        index, size_bytes : int
        now : float
            When it arrived, in seconds.
        as_it_is : bool
            It is sent as it is, not preprocessed (any more).
        """
        self._sizes[index] = size_bytes
        self._unsent_bytes += size_bytes
        self._waiting_bytes += size_bytes
        self._arrived_at = max(self._arrived_at, now)
        if as_it_is:
            self._line_up(index)
        else:
            self._prospects.add(index, size_bytes)

    def withdrawn(self, index: int, now: float) -> None:
        """Forget an image that is not to be sent any more, or not now, wherever it was."""
        size_bytes = self._sizes.pop(index)
        self._turns.pop(index, None)
        self._unsent_bytes -= size_bytes
        if (self.name, index) in self.link:
            self.link.dropped((self.name, index), size_bytes, now)
        elif index in self._preprocessing:
            self._preprocessing.discard(index)
        else:
            self._waiting_bytes -= size_bytes
            if index in self._to_send:
                self._to_send.discard(index)
            else:
                self._prospects.remove(index)

    def preprocessing_started(self, index: int) -> None:
        """Note that a core has taken an image."""
        self._prospects.remove(index)
        self._preprocessing.add(index)
        self._waiting_bytes -= self._sizes[index]

    def preprocessing_ended(self, index: int, *, saved_bytes: int | None, cpu_s: float) -> None:
        """Note what preprocessing did: None if it failed, and the image goes as it is.

        The CPU seconds are those of a core that was taken, reading and writing included.
        """
        self._preprocessing.discard(index)
        self._line_up(index)
        size_bytes = self._sizes[index]
        if saved_bytes is not None:
            self.recalled(index, size_bytes, saved_bytes=saved_bytes, cpu_s=cpu_s)
            self._sizes[index] = size_bytes - saved_bytes
            self._unsent_bytes -= saved_bytes
        self._waiting_bytes += self._sizes[index]

    def recalled(self, index: int, size_bytes: int, *, saved_bytes: int, cpu_s: float) -> None:
        """Learn from an image that was preprocessed and sent before a restart."""
        if size_bytes and cpu_s > 0:
            self._prospects.learn(index, size_bytes, saved_bytes=saved_bytes, cpu_s=cpu_s)

    def upload_started(self, index: int, now: float) -> None:
        """Note that an image was handed to the link."""
        if index in self._to_send:
            self._to_send.discard(index)
        else:
            self._prospects.remove(index)
        self._waiting_bytes -= self._sizes[index]
        self.link.started((self.name, index), self._sizes[index], now)

    def upload_ended(self, index: int, *, duration_s: float, now: float) -> None:
        """Note that an image got through; of `duration_s` it was on the link itself."""
        size_bytes = self._sizes.pop(index)
        self._turns.pop(index, None)
        self._unsent_bytes -= size_bytes
        self.link.ended((self.name, index), size_bytes, duration_s, now)

    def preprocessing_lost(self, index: int) -> None:
        """Note that an image waits again, since whoever had it is gone."""
        self._preprocessing.discard(index)
        self._prospects.add(index, self._sizes[index])
        self._waiting_bytes += self._sizes[index]

    def upload_lost(self, index: int, now: float) -> None:
        """Note that an image is to be sent again; it is not preprocessed any more."""
        self._line_up(index)
        self._waiting_bytes += self._sizes[index]
        self.link.dropped((self.name, index), self._sizes[index], now)

    def expected(self, index: int) -> Expectation:
        """Estimate what preprocessing an image that was not sent yet would do."""
        return self._prospects.expected(index, self._sizes[index])

    def next_to_preprocess(self, now: float, *, ahead_bytes: float = 0.0) -> int | None:
        """Choose the image that is worth most now; None if nothing is.

        Nothing is, if all that waits beside it would be sent before it is ready: the link would run dry.

        Parameters
        ----------
        now : float
            In seconds.
        ahead_bytes : float
            What the link is to send before, of other streams.
        """
        rate = self.link.bytes_per_s
        budget = None if rate is None else Budget(ahead_bytes + self._unsent_bytes, rate, self.cores)
        more_to_come = now - self._arrived_at < _ARRIVING_S
        index = self._prospects.best(budget, under_way=self._preprocessing, more_to_come=more_to_come)
        if index is None:
            return None
        beside_bytes = ahead_bytes + self._waiting_bytes - self._sizes[index]
        dry_after_s = self.link.dry_after_s(beside_bytes, now)
        return index if self.expected(index).cpu_s <= dry_after_s else None

    def next_to_upload(self) -> int | None:
        """Choose the image to be handed to the link; None if it has enough at hand, or nothing waits."""
        if self.link.under_way >= self.link.depth:
            return None
        while self._queue and not self._is_to_send(*self._queue[0]):
            heapq.heappop(self._queue)
        return self._queue[0][1] if self._queue else self._prospects.least()

    def _is_to_send(self, turn: int, index: int) -> bool:
        return index in self._to_send and self._turns[index] == turn

    def _line_up(self, index: int) -> None:
        self._to_send.add(index)
        if index not in self._turns:
            self._turn += 1
            self._turns[index] = self._turn
        heapq.heappush(self._queue, (self._turns[index], index))
