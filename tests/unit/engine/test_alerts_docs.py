"""What docs/alerts.md shows can be written like that."""

import re
from pathlib import Path
from typing import get_args

import yaml

from haste_core.alert_rules import AlertRule, Finished, WellBelow
from haste_core.pipelines import Pipeline
from haste_server.catalogue import load_pipelines
from haste_server.settings import ServerSettings

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "alerts.md").read_text(encoding="utf-8")
RULES, SETTINGS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def rules_in(text: str) -> tuple[AlertRule, ...]:
    return Pipeline.parse({**load_pipelines()["focus-tier"].to_json(), **yaml.safe_load(text)}).alerts


def test_every_rule_is_shown_and_explained() -> None:
    kinds = get_args(get_args(AlertRule)[0])
    names = {get_args(kind.model_fields["rule"].annotation)[0] for kind in kinds}
    assert {rule.rule for rule in rules_in(RULES)} == names
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)) == names
    assert f"`min_images` ({WellBelow.model_fields['min_images'].default})" in PAGE
    assert f"`settle_s` ({Finished.model_fields['settle_s'].default:g})" in PAGE


def test_the_rules_in_the_shipped_pipeline_can_be_taken_in() -> None:
    text = (REPOSITORY / "config" / "pipelines" / "focus-tier.yaml").read_text(encoding="utf-8")
    rules = rules_in(re.sub(r"^# ", "", text[text.index("# alerts:") :], flags=re.MULTILINE))
    assert len(rules) == 5


def test_the_settings_can_be_taken_in() -> None:
    settings = ServerSettings.model_validate(yaml.safe_load(SETTINGS))
    assert settings.alert_email is not None
    assert len(settings.alert_email.recipients) == 2
    assert [hook.url.get_secret_value() for hook in settings.alert_webhooks] == [
        "https://chat.example.org/hooks/SECRET"
    ]
