#!/usr/bin/env bash
# Gradio 6.31.0 (playwright 1.65.2, Chromium 156): a page that is open and idle asks for animation frames for ever.
#
# Guess: once a page is there and nobody touches it, its scripts rest.
# What happens: the sign that shows while a page loads (StatusTracker) asks for a frame after each one while its status
# is `pending`. When the page is there, the sign is taken away in the step in which its status becomes `complete`, so
# that it never hears of it and goes on for as long as the page is open. The same happens to the sign of a component
# that is hidden while an event of it is under way.
#
# Output seen, on two cores without a GPU:
#   as it is: 60 frames a second, 6.0 % of a core; ended once the sign is gone: 0 frames a second, 0.1 % of a core
# Needs Chromium as /usr/bin/chromium. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q gradio==6.31.0 playwright==1.65.2 psutil

GRADIO_ANALYTICS_ENABLED=False "$folder/venv/bin/python" - <<'PY'
import sys

import gradio as gr
import psutil
from playwright.sync_api import sync_playwright

SECONDS = 5
COUNT = """window.frames = 0;
const ask = window.requestAnimationFrame;
window.requestAnimationFrame = draw => { window.frames++; return ask.call(window, draw); };"""


def end_with_the_sign(route):
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text().replace("W&&ze()", "W&&U&&ze()"))


def browser_seconds():
    processes = [one for one in psutil.Process().children(recursive=True) if "chrom" in one.name()]
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def measured(browser, url, is_ended):
    """Frames a second, and the browser's share of a core, of a page that nobody touches."""
    with browser.new_page() as page:
        page.add_init_script(COUNT)
        if is_ended:
            page.route("**/statustracker-*.js", end_with_the_sign)
        page.goto(url)
        page.get_by_label("Answer").wait_for()
        page.wait_for_timeout(5000)
        page.evaluate("window.frames = 0")
        before = browser_seconds()
        page.wait_for_timeout(1000 * SECONDS)
        return page.evaluate("window.frames") / SECONDS, 100 * (browser_seconds() - before) / SECONDS


with gr.Blocks() as demo:
    gr.Textbox(label="Answer")
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
    endless, ended = (measured(browser, url, is_ended) for is_ended in (False, True))
    browser.close()
demo.close()
for words, (frames, share) in (("as it is", endless), ("ended once the sign is gone", ended)):
    print(f"{words}: {frames:.0f} frames a second, {share:.1f} % of a core")
sys.exit(not (endless[0] > 10 and ended[0] == 0))
PY
