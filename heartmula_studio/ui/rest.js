// How the scripts of the page call REST: as its other clients do, by the session of the page.

const KEEPALIVE_CHARS = 15_000; // browsers send at most 64 KiB for a page that is being left

/** Ask REST, by an address relative to the page's own. Throws an Error that says what is wrong and what to do. */
async function ask(method, path, body) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = text === undefined ? {} : { "Content-Type": "application/json" };
  const keepalive = text !== undefined && text.length < KEEPALIVE_CHARS;
  const answer = await fetch(path, { method, headers, body: text, keepalive }).catch(() => {
    throw new Error("The studio does not answer. What you typed is still here.");
  });
  if (!answer.ok) throw new Error(await refusal(answer));
  return answer;
}

async function refusal(answer) {
  try {
    const { error } = await answer.json();
    return `${error.message} ${error.hint}`.trim();
  } catch {
    return `The studio answered with ${answer.status}. Try again, or reload the page.`;
  }
}
