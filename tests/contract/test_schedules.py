"""Workflows from their creation to their end, on fakeredis and on a real server."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis import Redis

from app.outgoing.decision import AttemptError
from app.outgoing.model import Idempotency
from app.outgoing.service import RequestService
from app.platform.errors import BadRequest, NotFound, Unavailable
from app.schedules.live_api import LiveJob
from app.schedules.records import TaskState, Workflow, shown
from app.schedules.retention import WorkflowKeeper
from app.schedules.rules import Limits
from app.schedules.service import WorkflowQuery
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench
from tests.support.schedules import NOW, ScheduleBench

AWAY = AttemptError("server_error", "The Live API answered 503.", status=503, destination_fault=True)
GONE = AttemptError("not_found", "The Live API knows no such job.", status=404, retryable=False)


@pytest.fixture
def schedules(bench: Bench) -> ScheduleBench:
    return ScheduleBench(bench)


# Firing -------------------------------------------------------------------------------------------


def test_a_job_is_activated_and_deactivated_at_its_times(schedules: ScheduleBench) -> None:
    workflow = schedules.create(600, 4200)
    schedules.at(599.999)
    assert schedules.fire() == [], "never early"
    schedules.at(600)
    assert schedules.fire() == ["job/activate"]
    assert schedules.states(workflow) == ("pending", "pending"), "nobody has looked at the answer yet"
    assert schedules.store.settle() == 1
    assert schedules.states(workflow) == ("finished", "pending")
    schedules.at(4200)
    assert schedules.fire() == ["job/deactivate"]
    schedules.store.settle()
    assert schedules.states(workflow) == ("finished", "finished")
    assert schedules.fire() == []
    assert schedules.happenings() == ["schedule-created", "schedule-activated", "schedule-deactivated"]


def test_it_is_said_when_the_next_timer_is_due(schedules: ScheduleBench) -> None:
    assert schedules.store.fire() == (0, 3600.0)
    schedules.create(600, 4200)
    schedules.at(599.5)
    assert schedules.store.fire() == (0, 0.5)
    schedules.at(600)
    assert schedules.store.fire() == (1, 3600.0)


def test_more_are_due_than_one_call_takes(schedules: ScheduleBench) -> None:
    for number in range(50):
        schedules.create(600, 4200, job_id=f"job{number}")
    schedules.at(600)
    assert schedules.store.fire()[0] == 50
    assert len(schedules.sent()) == 50
    assert schedules.store.settle() == 50


def test_what_was_moved_fires_at_its_new_time_only(schedules: ScheduleBench) -> None:
    workflow = schedules.create(600, 4200)
    schedules.move(workflow, activation=900)
    schedules.at(899)
    assert schedules.fire() == []
    schedules.at(900)
    assert schedules.fire() == ["job/activate"]
    schedules.store.settle()
    schedules.move(workflow, deactivation=5000)
    schedules.at(4999)
    assert schedules.fire() == []
    schedules.at(5000)
    assert schedules.fire() == ["job/deactivate"]


def test_cancelled_and_created_again_fires_once(schedules: ScheduleBench) -> None:
    old = schedules.create(600, 4200)
    schedules.at(599.9)
    schedules.cancel(old)
    new = schedules.create(600, 4200)
    schedules.at(600)
    assert schedules.fire() == ["job/activate"]
    schedules.store.settle()
    assert (schedules.states(old), schedules.states(new)) == (
        ("cancelled", "cancelled"),
        ("finished", "pending"),
    )


def test_after_the_activation_only_the_deactivation_is_cancelled(schedules: ScheduleBench) -> None:
    workflow = schedules.create(600, 4200)
    schedules.at(600)
    schedules.fire()
    schedules.store.settle()
    schedules.cancel(workflow)
    assert schedules.states(workflow) == ("finished", "cancelled")
    schedules.at(4200)
    assert schedules.fire() == []
    with pytest.raises(BadRequest, match="Nothing of this workflow is pending"):
        schedules.cancel(workflow)


def test_what_is_being_carried_out_is_neither_moved_nor_cancelled(schedules: ScheduleBench) -> None:
    workflow = schedules.create(600, 4200)
    schedules.at(600)
    schedules.store.fire()
    with pytest.raises(BadRequest, match="it is being carried out"):
        schedules.move(workflow, activation=900)
    cancelled = schedules.cancel(workflow)
    assert (cancelled.activation.state, cancelled.deactivation.state) == (
        TaskState.PENDING,
        TaskState.CANCELLED,
    )
    assert schedules.sent() == ["job/activate"]


# Failing ------------------------------------------------------------------------------------------


def test_a_failed_activation_takes_the_deactivation_with_it(schedules: ScheduleBench) -> None:
    workflow = schedules.create(600, 4200)
    schedules.at(600)
    schedules.store.fire()
    schedules.sent(GONE)
    schedules.store.settle()
    assert schedules.states(workflow) == ("failed", "cancelled")
    assert schedules.reason(workflow) == "not_found"
    schedules.at(4200)
    assert schedules.fire() == []
    assert schedules.happenings() == ["schedule-created", "schedule-failed", "schedule-cancelled"]


def test_an_activation_is_tried_until_its_deactivation_is_due(schedules: ScheduleBench) -> None:
    workflow = schedules.create(600, 4200)
    schedules.at(600)
    schedules.store.fire()
    schedules.sent(AWAY)
    assert schedules.store.settle() == 0
    schedules.at(4200)
    schedules.store.fire()
    schedules.bench.store.expire("live-api")
    schedules.store.settle()
    assert schedules.states(workflow) == ("failed", "cancelled")
    schedules.bench.pass_time(minutes=10)
    schedules.bench.store.sweep("live-api")
    assert schedules.sent() == [], "the deactivation isn't sent either"


def test_a_job_that_may_be_active_is_deactivated_all_the_same(schedules: ScheduleBench) -> None:
    workflow = schedules.create(600, 4200)
    schedules.at(600)
    schedules.store.fire()
    schedules.sent(AttemptError("timeout", "No whole answer came in time.", unknown={}))
    schedules.at(4200)
    schedules.store.fire()
    schedules.bench.store.expire("live-api")
    schedules.store.settle()
    assert schedules.states(workflow) == ("failed", "pending")
    assert schedules.sent() == ["job/deactivate"]


# Catching up --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("catch_up", "late", "fires"),
    [
        ("until-deactivation", 3599, True),
        ("until-deactivation", 3600, False),
        ("none", 5, True),
        ("none", 6, False),
        ("60", 60, True),
        ("60", 61, False),
        ("5000", 3600, False),
    ],
)
def test_what_becomes_of_an_activation_that_was_missed(
    schedules: ScheduleBench, catch_up: str, late: int, fires: bool
) -> None:
    workflow = schedules.create(600, 4200, catch_up=catch_up)
    schedules.at(600 + late)
    assert ("job/activate" in schedules.fire()) is fires
    schedules.store.settle()
    assert schedules.states(workflow)[0] == ("finished" if fires else "failed")
    assert schedules.reason(workflow) == (None if fires else "missed")
    if not fires:
        assert schedules.states(workflow)[1] == "cancelled"


# What can be scheduled ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begins", "ends", "text"),
    [
        (-1, 60, "activation lies in the past"),
        (60, 60, "must come after the activation"),
        (4000, 5000, "scheduled for that time already"),
        (100, 700, "scheduled for that time already"),
    ],
)
def test_what_is_refused(schedules: ScheduleBench, begins: int, ends: int, text: str) -> None:
    schedules.create(600, 4200)
    before = sorted(schedules.bench.client.keys(schedules.bench.keys.prefix + "*"))
    with pytest.raises(BadRequest, match=text):
        schedules.create(begins, ends)
    assert sorted(schedules.bench.client.keys(schedules.bench.keys.prefix + "*")) == before


def test_one_may_begin_when_another_ends_and_other_jobs_don_t_count(schedules: ScheduleBench) -> None:
    schedules.create(600, 4200)
    schedules.create(4200, 4300)
    schedules.create(600, 4200, job_id="other")
    schedules.create(600, 4200, account="another")


def test_six_activations_of_a_job_may_be_pending(bench: Bench) -> None:
    schedules = ScheduleBench(bench, Limits(allow_overlap=True))
    workflows = [schedules.create(600, 4200) for _ in range(6)]
    with pytest.raises(BadRequest, match="has 6 pending activations"):
        schedules.create(600, 4200)
    schedules.cancel(workflows[0])
    schedules.create(600, 4200)


def test_only_static_jobs_that_the_live_api_knows(schedules: ScheduleBench) -> None:
    schedules.live_api.jobs["job"] = LiveJob(static=False, state="processing", sep_state="none")
    with pytest.raises(BadRequest, match="isn't static"):
        schedules.create()
    schedules.live_api.error = GONE
    with pytest.raises(BadRequest, match="knows no such job"):
        schedules.create()
    schedules.live_api.error = AWAY
    with pytest.raises(Unavailable):
        schedules.create()
    assert schedules.bench.client.keys(schedules.bench.keys.prefix + "*") == []


def test_a_move_is_checked_as_a_whole(schedules: ScheduleBench) -> None:
    workflow = schedules.create(600, 4200)
    for changes in ({"activation": 4200}, {"deactivation": 600}, {"activation": -1, "deactivation": 5000}):
        with pytest.raises(BadRequest):
            schedules.move(workflow, **changes)
    assert schedules.store.workflow(workflow.id) == schedules.service.get("acc", workflow.id)
    assert schedules.service.get("acc", workflow.id).window == (NOW + 600, NOW + 4200)
    moved = schedules.move(workflow, activation=5000, deactivation=6000)
    assert moved.window == (NOW + 5000, NOW + 6000)


# Looking ------------------------------------------------------------------------------------------


def test_one_account_never_sees_another_s(schedules: ScheduleBench) -> None:
    workflow = schedules.create()
    for call in (schedules.service.get, schedules.service.cancel):
        with pytest.raises(NotFound):
            call("another", workflow.id)
    assert schedules.service.page(WorkflowQuery("another", 10)).workflows == ()
    assert schedules.states(workflow) == ("pending", "pending")


def test_pages_by_time_with_every_workflow_once(schedules: ScheduleBench) -> None:
    made = [schedules.create(600 + number % 3, 4200, job_id=f"j{number}") for number in range(7)]
    expected = [one.id for one in sorted(made, key=lambda one: (one.activation.at, one.id))]
    found: list[str] = []
    after = None
    while True:
        page = schedules.service.page(WorkflowQuery("acc", 2, after=after))
        found += [one.id for one in page.workflows]
        after = page.after
        if after is None:
            break
    assert found == expected
    within = schedules.service.page(WorkflowQuery("acc", 10, start=NOW + 601, end=NOW + 602)).workflows
    assert [one.activation.at for one in within] == [NOW + 601] * 2
    schedules.cancel(made[0])
    cancelled = schedules.service.page(WorkflowQuery("acc", 10, state=TaskState.CANCELLED)).workflows
    assert [one.id for one in cancelled] == [made[0].id]
    of_job = schedules.service.page(WorkflowQuery("acc", 10, job_id="j3")).workflows
    assert [one.id for one in of_job] == [made[3].id]


def test_a_create_that_is_repeated_makes_one_workflow(schedules: ScheduleBench) -> None:
    key = Idempotency("digest", "fingerprint")
    first = schedules.create(600, 4200, key)
    schedules.at(700)
    again = schedules.create(600, 4200, key)
    assert again.id == first.id
    assert len(schedules.service.page(WorkflowQuery("acc", 10)).workflows) == 1


# Notices ------------------------------------------------------------------------------------------

URL = "https://example.com/hook?key=1"


def noticed(schedules: ScheduleBench, host: str = "example.com:443") -> list[str]:
    return [one["action"] for one in schedules.notices(host)]


def test_each_step_of_a_workflow_is_told_in_its_order(schedules: ScheduleBench) -> None:
    metadata = b'{"list":[],"large":12345678901234567890}'
    workflow = schedules.create(600, 4200, notification_url=URL, metadata=metadata)
    schedules.at(600)
    schedules.fire()
    assert schedules.notices() == [], "not before it is known how it went"
    schedules.store.settle()
    [told] = schedules.notices()
    shown_now = shown(schedules.service.get("acc", workflow.id))
    assert told == {"action": "activate", "workflow": shown_now}
    assert told["workflow"]["metadata_passthrough"] == {"list": [], "large": 12345678901234567890}
    assert told["workflow"]["activation"] == {"state": "finished", "time_utc": NOW + 600}
    schedules.at(4200)
    schedules.fire()
    schedules.store.settle()
    assert noticed(schedules) == ["deactivate"]


def test_the_notices_before_go_out_at_their_moments(schedules: ScheduleBench) -> None:
    workflow = schedules.workflow(600, 4200, notification_url=URL)
    workflow = replace(
        workflow,
        activation=replace(workflow.activation, notification=60),
        deactivation=replace(workflow.deactivation, notification=120),
    )
    schedules.service.create(workflow)
    schedules.at(539)
    schedules.fire()
    assert noticed(schedules) == []
    schedules.at(540)
    schedules.fire()
    assert noticed(schedules) == ["notify-activate"]
    schedules.at(600)
    schedules.fire()
    schedules.store.settle()
    assert noticed(schedules) == ["activate"]
    schedules.at(4090)  # ten seconds after its moment
    schedules.fire()
    assert noticed(schedules) == []
    found = schedules.service.get("acc", workflow.id)
    assert (found.activation.notice, found.deactivation.notice) == ("sent", "skipped")
    schedules.at(4200)
    schedules.fire()
    schedules.store.settle()
    assert noticed(schedules) == ["deactivate"]


def test_a_failure_is_told_with_its_reason(schedules: ScheduleBench) -> None:
    schedules.create(600, 4200, notification_url=URL)
    schedules.at(600)
    schedules.store.fire()
    schedules.sent(GONE)
    schedules.store.settle()
    [told] = schedules.notices()
    assert (told["action"], told["error"]) == ("activate", {"code": "not_found"})
    assert told["workflow"]["activation"]["state"] == "failed"
    missed = schedules.create(700, 4200, job_id="other", catch_up="none", notification_url=URL)
    schedules.at(800)
    schedules.fire()
    [told] = schedules.notices()
    assert (told["error"], told["workflow"]["workflow_id"]) == ({"code": "missed"}, missed.id)


def test_a_dead_host_delays_no_other_s_notices(schedules: ScheduleBench) -> None:
    for number in range(6):
        host = "dead.example.com" if number < 4 else "example.com"
        schedules.create(600, 4200, job_id=f"j{number}", notification_url=f"https://{host}/")
    schedules.at(600)
    schedules.fire()
    schedules.store.settle()
    down = AttemptError("connect_failed", "No connection could be made.", destination_fault=True)
    assert len(schedules.notices("dead.example.com:443", down)) == 4
    assert noticed(schedules) == ["activate", "activate"]
    requests = RequestService(schedules.bench.store)
    assert requests.destination("notices:dead.example.com:443").state == "open"
    assert requests.destination("notices:example.com:443").state == "closed"
    assert requests.destination("live-api").state == "closed"


def test_a_notice_is_tried_again_ever_more_rarely(schedules: ScheduleBench) -> None:
    schedules.create(600, 4200, notification_url=URL)
    schedules.at(600)
    schedules.fire()
    schedules.store.settle()
    tried = []
    refuses = AttemptError("server_error", "The receiver answered 500.", status=500)
    for second in range(0, 600, 10):
        schedules.at(600 + second)
        schedules.bench.store.sweep("notices:example.com:443")
        if schedules.notices(error=refuses):
            tried.append(second)
    assert tried == [0, 10, 20, 40, 80, 160, 320]


def test_a_notice_whose_worker_died_is_sent_again(schedules: ScheduleBench) -> None:
    schedules.create(600, 4200, notification_url=URL)
    schedules.at(600)
    schedules.fire()
    schedules.store.settle()
    [request_id] = schedules._take("notices:example.com:443")
    claim = schedules.bench.claim(request_id)
    assert schedules.bench.store.begin(claim, None) is not None
    schedules.bench.pass_time(seconds=60)
    schedules.bench.store.reclaim("notices:example.com:443")
    assert noticed(schedules) == ["activate"]


def test_what_was_cancelled_is_told_by_nobody(schedules: ScheduleBench) -> None:
    schedules.cancel(schedules.create(600, 4200, notification_url=URL))
    schedules.at(4200)
    schedules.fire()
    assert noticed(schedules) == []


# Others at the same time --------------------------------------------------------------------------


def test_a_full_store_still_fires(schedules: ScheduleBench) -> None:
    schedules.create(600, 4200, notification_url=URL)
    schedules.bench.client.set(schedules.bench.keys.store_full, "1")
    schedules.at(600)
    assert schedules.fire() == ["job/activate"]
    schedules.store.settle()
    assert noticed(schedules) == ["activate"]
    with pytest.raises(Unavailable):
        schedules.create(5000, 6000)


def test_a_person_who_has_a_failed_activation_tried_again_gets_its_deactivation_back(
    schedules: ScheduleBench,
) -> None:
    workflow = schedules.create(600, 4200)
    schedules.at(600)
    schedules.store.fire()
    schedules.sent(GONE)
    schedules.store.settle()
    failed = schedules.service.get("acc", workflow.id)
    assert failed.activation.request_id is not None
    RequestService(schedules.bench.store).retry(failed.activation.request_id, "ann")
    assert schedules.sent() == ["job/activate"]
    schedules.store.settle()
    assert schedules.states(workflow) == ("finished", "pending")
    schedules.at(4200)
    assert schedules.fire() == ["job/deactivate"]


# Keeping ------------------------------------------------------------------------------------------


def visit(schedules: ScheduleBench) -> int:
    keeper = WorkflowKeeper(schedules.store, schedules.bench.store)
    prefix = schedules.bench.keys.prefix
    keys = [name.decode() for name in schedules.bench.client.keys(f"{prefix}*")]
    gone = keeper.visit([name for name in keys if name.startswith(f"{prefix}schedule:")])
    return gone + keeper.jobs([name for name in keys if name.startswith(f"{prefix}schedules:")])


def test_what_is_over_goes_with_the_history_and_leaves_nothing(schedules: ScheduleBench) -> None:
    over, pending = schedules.create(600, 4200), schedules.create(9_000_000, 9_000_060, job_id="other")
    schedules.cancel(over)
    schedules.at(30 * 86_400 + 4199)
    assert visit(schedules) == 1, "the job, of which nothing is pending"
    schedules.at(30 * 86_400 + 4200)
    assert visit(schedules) == 1
    assert [one.id for one in schedules.service.page(WorkflowQuery("acc", 10)).workflows] == [pending.id]
    assert schedules.store.workflow(over.id) is None
    left = schedules.bench.client.keys(f"{schedules.bench.keys.prefix}schedules:*:job")
    assert left == []


def test_what_a_script_that_broke_off_has_left_is_mended(schedules: ScheduleBench) -> None:
    workflow = schedules.create(600, 4200)
    schedules.bench.client.delete(schedules.store.keys.timers)
    visit(schedules)
    schedules.at(600)
    assert schedules.fire() == ["job/activate"]
    schedules.bench.client.delete(schedules.store.keys.ended)
    visit(schedules)
    schedules.store.settle()
    assert schedules.states(workflow) == ("finished", "pending")
    schedules.at(4200)
    # As if it had broken off between noting that it fires and writing the request.
    fired = {"deactivation.firedAt": 1, "deactivation.requestId": "0" * 32}
    schedules.bench.client.hset(schedules.store.keys.workflow(workflow.id), mapping=fired)
    schedules.bench.client.delete(schedules.store.keys.timers)
    visit(schedules)
    assert schedules.fire() == ["job/deactivate"]


# Races --------------------------------------------------------------------------------------------


def test_what_is_answered_while_it_fires_is_true_afterwards(redis_client: Redis, tenant: str) -> None:
    schedules = ScheduleBench(Bench(redis_client, AllKeys(tenant)))
    made = [schedules.create(600, 4200, job_id=f"j{number}") for number in range(200)]
    schedules.at(600)
    answers: dict[str, Workflow | None] = {}

    def change(workflow: Workflow, number: int) -> None:
        try:
            answers[workflow.job_id] = (
                schedules.cancel(workflow) if number % 2 else schedules.move(workflow, activation=1000)
            )
        except BadRequest:
            answers[workflow.job_id] = None

    before, raced = made[:20], made[20:180]
    for number, workflow in enumerate(before):
        change(workflow, number)
    with ThreadPoolExecutor(9) as pool:
        firing = pool.submit(lambda: [schedules.store.fire() for _ in range(200)])
        for number, workflow in enumerate(reversed(raced)):
            pool.submit(change, workflow, number)
    firing.result()
    sent = Counter(action.partition("/")[0] for action in schedules.fire())
    assert len(answers) == 180
    for job_id, answer in answers.items():
        stopped = answer is not None and (
            answer.activation.state is TaskState.CANCELLED or answer.activation.at == NOW + 1000
        )
        assert sent[job_id] == (0 if stopped else 1), answer
    assert all(sent[workflow.job_id] == 1 for workflow in made[180:])
    schedules.at(1000)
    moved = [job_id for job_id, answer in answers.items() if answer and answer.activation.at == NOW + 1000]
    assert sorted(schedules.fire()) == sorted(f"{job_id}/activate" for job_id in moved)
