"""What the API did not take of a form, as its page says it: in the reader's language, with the field that it is about."""

import re
from contextlib import ExitStack

import pytest

from . import office
from .conftest import REPOSITORY
from .test_language import CATALOGUES, CHINESE

DRAFT = "refused-draft"
REFUSED = (
    # who, form, what it sent, status, how Chinese and English say it
    ("zhao.city", "organisations", {"name_zh": "没有编号"}, 400, "编号必须填写", "the id must be filled in"),
    ("zhao.city", "organisations", {"id": "not an id", "name_zh": "水"}, 400, "只能用字母、数字", "letters, digits"),
    ("zhao.city", "organisations", {"id": "long", "name_zh": "水" * 201}, 400, "最多 200 个字符", "at most 200 characters"),
    ("zhao.city", "organisations", {"id": "water", "name_zh": "又一个"}, 409, "这个编号已被使用", "this id is taken"),
    ("li.owner", "people", {"login": "li.owner", "organisation_id": "planning"}, 409, "这个登录名已被使用", "this login is taken"),
    ("li.owner", "me", {"name": "李", "email": "nowhere"}, 400, "邮箱：须为邮箱地址", "must be an address such as"),
    ("zhou.caller", "scenarios", {"id": "no-name"}, 400, "中英文名称至少填写一个", "fill in the Chinese name"),
    ("li.owner", f"services/{DRAFT}/events/publish", {}, 409, "“草稿”状态的服务不能这样做", "cannot do this"),
    ("li.owner", f"services/{DRAFT}/events/submit", {"content_hash": "0" * 64}, 409, "内容已被他人修改", "somebody has changed it"),
    ("sun.reviewer", f"services/{DRAFT}/events/submit", {}, 403, "需要以下职责之一：发布员、", "one of the duties: "),
)  # fmt: skip


@pytest.fixture(scope="module")
def people(portal_url):
    """Sessions by login; the planning bureau has a draft."""
    with ExitStack() as stack:
        logins = {login: office.session(portal_url, login, stack) for login in {one[0] for one in REFUSED}}
        assert logins["li.owner"].post("/catalogue/items", json=office.draft(DRAFT)).status_code == 201
        yield logins


def test_every_rule_has_its_words_and_all_words_their_rule():
    sources = "\n".join(path.read_text() for package in ("api", "cim") for path in (REPOSITORY / package).rglob("*.py"))
    raised = set(re.findall(r'rule="([\w-]+)"', sources))
    assert raised == {key.removeprefix("rule.") for key in CATALOGUES["en"] if key.startswith("rule.")}


@pytest.mark.parametrize(("login", "form", "typed", "status", "chinese", "english"), REFUSED)
def test_a_refusal_reads_in_the_language_of_the_page(people, login, form, typed, status, chinese, english):
    client = people[login]
    for lang, said in (("zh-CN", chinese), ("en", english)):
        headers = {"Accept-Language": lang}
        csrf = re.search(r'name="csrf" value="([^"]+)"', client.get("/desk/me", headers=headers).text)[1]
        answer = client.post(f"/desk/{form}", data={"csrf": csrf, **typed}, headers=headers)
        assert answer.status_code == status
        alert = re.search(r'id="alert".*?</div>', answer.text, re.S)[0]
        told = re.search(r"<p>(.*?)</p>", alert)[1]
        assert said in told
        assert bool(CHINESE.search(told)) == (lang == "zh-CN")
        assert 'lang="en"' not in alert
