"""Filling a form of a page with the values that a user has entered before."""

from app.web.access import form_filler

PAGE = """<p>before</p>
<form method="post" action="/other"><input name="note" value=""></form>
<details class="ask">
<form method="post" action="/alerts/1"><input type="hidden" name="status" value="snoozed">
<select name="days"><option value="1" selected>1 day</option><option value="7">7 days</option>
</select><input name="note"></form>
</details>
<form method="post" action="/alerts/1"><input type="hidden" name="status" value="dismissed">
<input name="note"></form>
<form method="post" action=""><textarea name="names">old</textarea>
<input type="checkbox" name="kinds" value="a" checked><input type="checkbox" name="kinds" value="b">
<input type="radio" name="start" value="new" checked><input type="radio" name="start" value="all">
<input type="password" name="secret"><input name="tag" value="one"><input name="tag"></form>"""


def test_the_form_with_the_same_fixed_values_is_filled_and_opened() -> None:
    values = {"status": ["snoozed"], "days": ["7"], "note": ["later <b>"]}
    page = form_filler.fill(PAGE, "/alerts", "/alerts/1", values)
    assert '<details class="ask" open>' in page
    assert '<option value="1">' in page
    assert '<option value="7" selected>' in page
    assert page.count('value="later &lt;b&gt;"') == 1
    assert page.index("later &lt;b&gt;") < page.index("dismissed")
    dismissed = form_filler.fill(PAGE, "/alerts", "/alerts/1", {**values, "status": ["dismissed"]})
    assert dismissed.index("later &lt;b&gt;") > dismissed.index("dismissed")
    assert '<details class="ask">' in dismissed


def test_text_areas_check_boxes_and_repeated_fields_are_filled() -> None:
    values = {
        "names": ["one.test\n</textarea>"],
        "kinds": ["b"],
        "start": ["all"],
        "secret": ["never"],
        "tag": ["x", "y"],
    }
    page = form_filler.fill(PAGE, "/domains/add", "/domains/add", values)
    assert "one.test\n&lt;/textarea&gt;</textarea>" in page
    assert '<input type="checkbox" name="kinds" value="a">' in page
    assert '<input type="checkbox" name="kinds" value="b" checked>' in page
    assert '<input type="radio" name="start" value="all" checked>' in page
    assert '<input name="tag" value="x"><input name="tag" value="y">' in page
    assert "never" not in page


def test_page_without_the_form_is_unchanged() -> None:
    assert form_filler.fill(PAGE, "/alerts", "/missing", {"note": ["x"]}) == PAGE
