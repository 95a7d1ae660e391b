// Says `changed` as soon as the server says that anything has: while nothing happens, nothing is asked. A page that nobody
// sees lets go of its connection, of which a browser has six for all pages of a server.
//
// While somebody edits (the document's event `edited`), most changes are his own, and to redraw what they change would
// make him wait: they are said once he pauses or presses a button, or has edited for long.

const AGAIN_MS = 30_000;
const PAUSE_MS = 2_000, LONGEST_MS = 30_000;
let changes, known = "", editedAt = -PAUSE_MS, untoldSince, telling;

function listenForChanges() {
  if (document.hidden || changes) {
    if (document.hidden) changes = changes?.close();
    return;
  }
  changes = new EventSource(`changes?since=${encodeURIComponent(known)}`);
  changes.addEventListener("known", (event) => { known = event.data; });
  changes.onmessage = (event) => {
    known = event.data;
    untoldSince ??= performance.now();
    tell();
  };
  changes.onerror = () => {
    if (changes?.readyState !== EventSource.CLOSED) return; // else the browser tries again by itself
    changes = undefined;
    setTimeout(listenForChanges, AGAIN_MS);
  };
}

function tell() {
  clearTimeout(telling);
  const leftMs = Math.min(editedAt + PAUSE_MS, untoldSince + LONGEST_MS) - performance.now();
  if (leftMs > 0) {
    telling = setTimeout(tell, leftMs);
    return;
  }
  untoldSince = undefined;
  trigger("changed");
}

document.addEventListener("edited", () => { editedAt = performance.now(); });
document.addEventListener("click", (event) => { if (event.target.closest("button")) editedAt = -PAUSE_MS; }, true);
document.addEventListener("visibilitychange", listenForChanges);
listenForChanges();
