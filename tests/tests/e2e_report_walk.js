// What someone does who looks at a report: keys, wheel, clicks, filters. What comes of it is left on <body>.
"use strict";
const body = document.body, canvas = (id) => document.getElementById(id);
const key = (key) => body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const pointer = (on, kind, x, y, more) => {
  const { left, top } = canvas(on).getBoundingClientRect();
  canvas(on).dispatchEvent(new PointerEvent(kind, { clientX: left + x, clientY: top + y, pointerId: 1, bubbles: true, ...more }));
};
const wheel = (on, deltaY, more) => canvas(on).dispatchEvent(new WheelEvent("wheel", { deltaY, clientX: 300, clientY: 400, bubbles: true, cancelable: true, ...more }));
// There is no pointer to be captured.
Element.prototype.setPointerCapture = () => {};
for (const each of ["ArrowDown", "ArrowDown", "ArrowDown"]) key(each);
body.dataset.third = body.dataset.selected;
key("d");
body.dataset.trouble = body.dataset.selected;
body.dataset.details = document.querySelector("#details h2").textContent;
for (const each of ["D", "d", "t", "+", "-", "j", "k", "PageDown", "PageUp", "Home", "End", "ArrowLeft", "ArrowRight", "0", "t"]) key(each);
for (const on of ["ladder", "plot"]) for (const more of [{}, { ctrlKey: true }, { shiftKey: true }]) { wheel(on, 40, more); wheel(on, -40, more); }
for (const [x, y] of [[400, 200], [300, 60]]) { pointer("ladder", "pointermove", x, y); pointer("ladder", "pointerdown", x, y); pointer("ladder", "pointerup", x, y); }
pointer("ladder", "pointerdown", 300, 200); pointer("ladder", "pointermove", 310, 260); pointer("ladder", "pointerup", 310, 260);
pointer("ladder", "pointerdown", 300, 200, { shiftKey: true }); pointer("ladder", "pointermove", 300, 260); pointer("ladder", "pointerup", 300, 260);
pointer("plot", "pointerdown", 300, 50); pointer("plot", "pointermove", 500, 50); pointer("plot", "pointerup", 500, 50);
canvas("plot").dispatchEvent(new MouseEvent("dblclick", { bubbles: true }));
for (const button of document.querySelectorAll("button")) if (button.id !== "copy") { button.click(); button.click(); }
for (const box of document.querySelectorAll("#hosts input")) { box.click(); box.click(); }
const flow = canvas("flow"); flow.value = "0"; flow.onchange(); body.dataset.flow = body.dataset.shown; flow.value = "-1"; flow.onchange();
// The middle of the first host's lane.
const lanes = canvas("lanes").getBoundingClientRect();
canvas("lanes").dispatchEvent(new MouseEvent("click", { clientX: lanes.left + 400, clientY: lanes.top + 9, bubbles: true }));
body.dataset.turn = body.dataset.selected;
const text = canvas("text"); text.value = "crash"; text.oninput();
setTimeout(() => { body.dataset.crashes = body.dataset.shown; body.dataset.walked = "yes"; }, 1000);
