// Mends the toasts of Gradio 6.31: their header, which folds the messages away, is a button around the one that closes
// them, and assistive technology does not reach a button within a button. The title becomes the button in its place;
// what is pressed there still reaches the header's own listeners.

const headers = document.getElementsByClassName("toast-header");

function mendToasts() {
  for (const header of headers) {
    if (header.getAttribute("role") !== "button") continue;
    const title = header.querySelector(".toast-title-row");
    for (const [name, value] of [["role", "button"], ["tabindex", "0"]]) {
      header.removeAttribute(name);
      title.setAttribute(name, value);
    }
  }
}

new MutationObserver(mendToasts).observe(document.body, { childList: true, subtree: true });
