// For the technician: connecting a browser by hand, where its owner's policy doesn't.

const byId = (id) => document.getElementById(id);

function show(status) {
  byId("words").textContent = status.enrolled
    ? `This browser is connected as ${status.deviceId}${status.connected ? "" : ", and waits for the box to answer"}.`
    : status.givenByPolicy ? "This browser connects by itself, as its owner's policy says." : "This browser is not connected.";
  byId("connect").hidden = status.enrolled || status.givenByPolicy;
  byId("said").textContent = status.error ?? "";
}

byId("connect").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("said").textContent = "One moment…";
  const status = await chrome.runtime.sendMessage({
    kind: "enrol", box: byId("box").value.trim(), code: byId("code").value.trim().toUpperCase(), name: byId("name").value.trim(),
  });
  if (status) show(status);
  else byId("said").textContent = "That did not work. Please try again.";
});

show(await chrome.runtime.sendMessage({ kind: "status" }));
