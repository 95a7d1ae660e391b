"""Lists in pages, and lists that are not sent again while nothing in them has changed."""

import pytest

PATHS = ("/training/datasets", "/training/jobs", "/training/checkpoints", "/generate")


@pytest.fixture(scope="module")
def ids(client) -> list[str]:
    """Of five datasets, one after the other."""
    return [client.post("/training/datasets", json={"name": f"Listed {number}"}).json()["id"] for number in range(5)]


@pytest.mark.parametrize("path", PATHS)
def test_a_list_is_not_sent_again(client, ids, path):
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert client.get(path, headers={"If-None-Match": f'"other", W/{first.headers["ETag"]}'}).status_code == 304
    assert client.get(path, headers={"If-None-Match": '"other"'}).json() == first.json()


def test_a_record_is_listed_as_it_is_given_alone(client, ids):
    listed = {dataset["id"]: dataset for dataset in client.get("/training/datasets").json()}
    assert listed[ids[0]] == client.get(f"/training/datasets/{ids[0]}").json()


def test_a_change_is_seen_at_once(client, ids):
    before = client.get("/training/datasets")
    client.put(f"/training/datasets/{ids[1]}", json={"name": "Listed anew"}).raise_for_status()
    after = client.get("/training/datasets", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert "Listed anew" in [dataset["name"] for dataset in after.json()]


def test_pages_give_every_record_once_though_one_is_deleted_between_them(client, ids):
    everything = [dataset["id"] for dataset in client.get("/training/datasets").json()]
    doomed = client.post("/training/datasets", json={"name": "Deleted"}).json()["id"]
    pages, cursor = [], ""
    while cursor is not None:
        answer = client.get("/training/datasets", params={"limit": 2, "cursor": cursor})
        pages.append([dataset["id"] for dataset in answer.json()])
        cursor = answer.headers.get("X-Next-Cursor")
        if doomed in (page := pages[-1]):
            page.remove(doomed)
            client.delete(f"/training/datasets/{doomed}").raise_for_status()
    assert [id for page in pages for id in page] == everything
    assert max(map(len, pages)) == 2


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=~", "cursor=~x"])
def test_what_is_no_page_is_refused(client, query):
    answer = client.get(f"/training/datasets?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_input")
    assert answer.json()["error"]["hint"]
