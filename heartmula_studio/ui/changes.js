// Says `changed` as soon as the server says that anything has: while nothing happens, nothing is asked. A page that nobody
// sees lets go of its connection, of which a browser has six for all pages of a server.

const AGAIN_MS = 30_000;
let changes, known = "";

function listenForChanges() {
  if (document.hidden || changes) {
    if (document.hidden) changes = changes?.close();
    return;
  }
  changes = new EventSource(`changes?since=${encodeURIComponent(known)}`);
  changes.addEventListener("known", (event) => { known = event.data; });
  changes.onmessage = (event) => {
    known = event.data;
    trigger("changed");
  };
  changes.onerror = () => {
    if (changes?.readyState !== EventSource.CLOSED) return; // else the browser tries again by itself
    changes = undefined;
    setTimeout(listenForChanges, AGAIN_MS);
  };
}

document.addEventListener("visibilitychange", listenForChanges);
listenForChanges();
