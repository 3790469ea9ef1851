"""One stream at a microscope's computer: tells its schedule what became of its images."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from haste_core.edge_images import EdgeImage, EdgeState
from haste_core.edge_scheduling import EdgeSchedule

_NOMINAL_BYTES = 1_000_000  # of images of which nobody told a size
_SCHEDULED = frozenset({EdgeState.WAITING, EdgeState.PREPROCESSING, EdgeState.TO_SEND, EdgeState.SENDING})
_AT_A_WORKER = frozenset({EdgeState.PREPROCESSING, EdgeState.SENDING, EdgeState.BUSY})
_OVER = frozenset({EdgeState.GONE, EdgeState.SENT})


@dataclass
class _Known:
    """An image, as its schedule was told last.

    Attributes
    ----------
    number : int
        Its place in the stream's course.
    learned : bool
        The schedule was told what preprocessing did to it.
    guessed : bool
        The schedule was told the size of others for its own.
    """

    number: int
    preprocess_id: int
    upload_id: int
    edge_state: EdgeState = EdgeState.GONE
    learned: bool = False
    guessed: bool = False


class EdgeStream:
    """The images of one stream at one site, with the schedule that they follow.

    What the store says about an image is noted again and again; the schedule hears what is new of it.

    Parameters
    ----------
    schedule : EdgeSchedule
    first_job : int
        Of the stream. Images without an index are numbered from there, in the order of arrival.
    lowest_index : int, optional
        Images are numbered from there by their indices. One whose number is taken gets the next free one.
    """

    def __init__(self, schedule: EdgeSchedule, *, first_job: int, lowest_index: int | None) -> None:
        self.schedule = schedule
        self.first_job = first_job
        self.at_a_worker: set[int] = set()
        self.paused: set[int] = set()
        self._lowest_index = lowest_index or 0
        self._known: dict[int, _Known] = {}
        self._jobs: dict[int, int] = {}  # by number
        self._highest = -1
        self._needed: list[tuple[int, int]] = []  # a heap of (task_id, job_id); some are done already
        self._sized = 0
        self._mean_bytes = float(_NOMINAL_BYTES)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    @property
    def preprocessing(self) -> int:
        """How many images are being preprocessed."""
        edge_states = (self._known[job_id].edge_state for job_id in self.at_a_worker)
        return sum(edge_state in (EdgeState.PREPROCESSING, EdgeState.BUSY) for edge_state in edge_states)

    def recall(self, image: EdgeImage) -> None:
        """Learn from an image that was preprocessed and is not here any more."""
        saving, raw_bytes = image.saving, image.raw_bytes
        if saving is not None and raw_bytes is not None:
            self._learn_size(image)
            self.schedule.recalled(
                self._place_of(image), raw_bytes, saved_bytes=saving.saved_bytes, cpu_s=saving.cpu_s
            )

    def note(self, image: EdgeImage, now: float) -> None:
        """Take what the store says about an image."""
        known = self._known.get(image.job_id)
        if known is None:
            if image.edge_state in _OVER:
                return
            known = self._add(image)
        if image.was_preprocessed and not known.learned:
            known.learned = True
            self._end_preprocessing(known, image, now)
        if image.edge_state is not known.edge_state:
            self._follow(known, image, now)
            self._settle(known, image)

    def forget(self, job_id: int, now: float) -> None:
        """Take that a job is not there any more."""
        known = self._known.pop(job_id)
        del self._jobs[known.number]
        self.at_a_worker.discard(job_id)
        self.paused.discard(job_id)
        if known.edge_state in _SCHEDULED:
            self.schedule.withdrawn(known.number, now)

    def choose_to_preprocess(self, now: float, *, ahead_bytes: float) -> tuple[int, int] | None:
        """Choose a (task_id, job_id), and take it for handed out until the store says otherwise."""
        needed = self._next_needed()
        if needed is not None:
            self._known[needed[1]].edge_state = EdgeState.BUSY
            self.at_a_worker.add(needed[1])
            return needed
        number = self.schedule.next_to_preprocess(now, ahead_bytes=ahead_bytes)
        if number is None:
            return None
        self.schedule.preprocessing_started(number)
        job_id = self._hand_out(number, EdgeState.PREPROCESSING)
        return self._known[job_id].preprocess_id, job_id

    def choose_to_upload(self, now: float) -> tuple[int, int] | None:
        """Choose a (task_id, job_id), and take it for handed out until the store says otherwise."""
        number = self.schedule.next_to_upload()
        if number is None:
            return None
        self.schedule.upload_started(number, now)
        job_id = self._hand_out(number, EdgeState.SENDING)
        return self._known[job_id].upload_id, job_id

    def _hand_out(self, number: int, edge_state: EdgeState) -> int:
        job_id = self._jobs[number]
        self._known[job_id].edge_state = edge_state
        self.at_a_worker.add(job_id)
        return job_id

    def _next_needed(self) -> tuple[int, int] | None:
        while self._needed:
            known = self._known.get(self._needed[0][1])
            if known is not None and known.edge_state is EdgeState.NEEDED:
                return self._needed[0]
            heapq.heappop(self._needed)
        return None

    def _add(self, image: EdgeImage) -> _Known:
        self._learn_size(image)
        number = self._place_of(image)
        if number < 0 or number in self._jobs:
            number = self._highest + 1
        self._highest = max(self._highest, number)
        self._jobs[number] = image.job_id
        known = self._known[image.job_id] = _Known(
            number,
            preprocess_id=image.preprocess.task_id if image.preprocess else 0,
            upload_id=image.upload.task_id if image.upload else 0,
        )
        return known

    def _place_of(self, image: EdgeImage) -> int:
        index = image.index
        return image.job_id - self.first_job if index is None else index - self._lowest_index

    def _learn_size(self, image: EdgeImage) -> None:
        if image.raw_bytes is not None:
            self._sized += 1
            self._mean_bytes += (image.raw_bytes - self._mean_bytes) / self._sized

    def _end_preprocessing(self, known: _Known, image: EdgeImage, now: float) -> None:
        """Tell what preprocessing did; afterwards the image is to be sent."""
        if known.edge_state in (EdgeState.TO_SEND, EdgeState.SENDING):
            return
        saving = image.saving
        if known.guessed and saving is not None and known.edge_state in _SCHEDULED:
            self.schedule.withdrawn(known.number, now)
            known.edge_state = EdgeState.GONE
        if known.edge_state not in _SCHEDULED:
            self._arrive(known, image, image.raw_bytes)
        if known.edge_state is not EdgeState.PREPROCESSING:
            self.schedule.preprocessing_started(known.number)
        self.schedule.preprocessing_ended(
            known.number,
            saved_bytes=None if saving is None else saving.saved_bytes,
            cpu_s=0.0 if saving is None else saving.cpu_s,
        )
        known.edge_state = EdgeState.TO_SEND

    def _follow(self, known: _Known, image: EdgeImage, now: float) -> None:
        """Tell the schedule how the image got from where it stood to where it stands."""
        schedule, number = self.schedule, known.number
        match known.edge_state, image.edge_state:
            case EdgeState.WAITING, EdgeState.PREPROCESSING:
                schedule.preprocessing_started(number)
            case EdgeState.PREPROCESSING, EdgeState.WAITING:
                schedule.preprocessing_lost(number)
            case ((EdgeState.WAITING | EdgeState.TO_SEND), EdgeState.SENDING):
                schedule.upload_started(number, now)
            case EdgeState.SENDING, EdgeState.TO_SEND:
                schedule.upload_lost(number, now)
            case EdgeState.SENDING, EdgeState.SENT:
                schedule.upload_ended(number, duration_s=_transfer_s(image), now=_sent_at(image, now))
            case before, after:
                if before in _SCHEDULED:
                    schedule.withdrawn(number, now)
                if after in _SCHEDULED:
                    self._bring_in(known, image, now)

    def _bring_in(self, known: _Known, image: EdgeImage, now: float) -> None:
        """Tell the schedule of an image that it does not know, where it stands now."""
        as_it_is = image.edge_state in (EdgeState.TO_SEND, EdgeState.SENDING)
        self._arrive(known, image, image.size_bytes, as_it_is=as_it_is)
        if image.edge_state is EdgeState.SENDING:
            self.schedule.upload_started(known.number, now)
        elif image.edge_state is EdgeState.PREPROCESSING:
            self.schedule.preprocessing_started(known.number)

    def _arrive(
        self, known: _Known, image: EdgeImage, size_bytes: int | None, *, as_it_is: bool = False
    ) -> None:
        known.guessed = size_bytes is None
        known_bytes = round(self._mean_bytes) if size_bytes is None else size_bytes
        self.schedule.arrived(known.number, known_bytes, image.arrived_at, as_it_is=as_it_is)

    def _settle(self, known: _Known, image: EdgeImage) -> None:
        """Keep in mind where an image stands now."""
        job_id, known.edge_state = image.job_id, image.edge_state
        for edge_states, members in ((_AT_A_WORKER, self.at_a_worker), ({EdgeState.PAUSED}, self.paused)):
            (members.add if known.edge_state in edge_states else members.discard)(job_id)
        if known.edge_state in (EdgeState.WAITING, EdgeState.NEEDED):
            known.learned = False  # if it was preprocessed before, somebody wants that once more
        if known.edge_state is EdgeState.NEEDED:
            heapq.heappush(self._needed, (known.preprocess_id, job_id))
        if known.edge_state in _OVER:
            del self._known[job_id]
            del self._jobs[known.number]


def _sent_at(image: EdgeImage, now: float) -> float:
    ended_at = None if image.upload is None else image.upload.ended_at
    return now if ended_at is None else min(ended_at, now)


def _transfer_s(image: EdgeImage) -> float:
    """Tell how long an image was on the link, as its handler says, or else how long that ran."""
    if image.upload is None:
        return 0.0
    told_s = image.upload.number("duration_s")
    return max(0.0, told_s) if told_s is not None else image.upload.duration_s or 0.0
