"use strict";

// The overview, as it stands now.
const live = document.getElementById("live");
if (live) {
  const state = document.getElementById("live-state");
  const watch = () => {
    const source = new EventSource(live.dataset.source);
    source.onmessage = (event) => {
      live.innerHTML = event.data;
      state.textContent = "As of " + new Date().toLocaleTimeString() + ".";
    };
    source.addEventListener("away", () => { state.textContent = "The database does not answer; this is what was seen last."; });
    source.onerror = () => {
      state.textContent = "The host does not answer, or the session has ended; this is what was seen last.";
      if (source.readyState === EventSource.CLOSED) setTimeout(watch, 5000);
    };
  };
  watch();
}

// What is under way is looked at again until it has ended.
const again = async () => {
  const shown = document.querySelector("[data-running]");
  if (!shown) return;
  try {
    const answer = await fetch(location.href);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("operation");
    if (answer.ok && next) shown.replaceWith(next);
  } catch { /* Asked again. */ }
  setTimeout(again, 2000);
};
setTimeout(again, 1000);

// A form is sent once.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  for (const button of event.target.querySelectorAll("button")) button.disabled = true;
});
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
});

// A component goes up before its form, which then names it by its digest.
for (const form of document.querySelectorAll("[data-drop]")) {
  const file = form.querySelector("[data-upload]");
  const status = form.querySelector("[data-status]");
  const over = (is) => (event) => { event.preventDefault(); form.classList.toggle("over", is); };
  form.addEventListener("dragover", over(true));
  form.addEventListener("dragleave", over(false));
  form.addEventListener("drop", (event) => {
    over(false)(event);
    if (event.dataTransfer.files.length) file.files = event.dataTransfer.files;
  });
  form.addEventListener("submit", async (event) => {
    if (!file.files.length) return;
    event.preventDefault();
    status.textContent = "Sending " + file.files[0].name + " …";
    try {
      const answer = await fetch(file.dataset.upload, {
        method: "POST", body: file.files[0],
        headers: { "content-type": "application/wasm", "x-form-token": form.elements.token.value },
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(text);
      form.elements.digest.value = text;
      file.value = "";
      status.textContent = "Going through the gate …";
      form.submit();
    } catch (problem) {
      status.textContent = "It was not taken: " + problem.message;
    }
  });
}

// Fields of a config and its text say the same.
for (const form of document.querySelectorAll("[data-config]")) {
  const text = form.elements.config;
  for (const field of form.querySelectorAll("[data-key]")) {
    field.addEventListener("input", () => {
      let config;
      try { config = JSON.parse(text.value); } catch { return; }
      const value = field.value;
      if (value === "") delete config[field.dataset.key];
      else if (field.dataset.type === "string") config[field.dataset.key] = value;
      else try { config[field.dataset.key] = JSON.parse(value); } catch { return; }
      text.value = JSON.stringify(config, null, 2);
    });
  }
}
