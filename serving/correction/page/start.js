"use strict";
// Sends the radiographs, and shows a refusal on the page. Without this script the browser shows the refusal as JSON.

const form = document.getElementById("open"), message = document.getElementById("status");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  say("reading and measuring the radiographs …");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (answer.ok) location.assign(answer.url);
    else say(refusal(await answer.json()), "problem");
  } catch (error) {
    say(`The service does not answer (${error.message}). Try again; if that fails, ask whoever runs it.`, "problem");
  }
  button.disabled = false;
});

function refusal(found) {
  return `${found.code}: found ${found.found}; expected ${found.expected}; ${found.remedy}`;
}

function say(text, kind = "") {
  Object.assign(message, { textContent: text, className: kind, hidden: !text });
}
