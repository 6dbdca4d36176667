// The page's map view, for modules that work before it is there and where it never comes (no WebGL).
let view = null;
const waiting = [];

/** The view, or null. */
export const theView = () => view;

/** Calls `listener(view)` once the view is there. */
export function whenDrawn(listener) {
  if (view) listener(view);
  else waiting.push(listener);
}

export function setView(made) {
  view = made;
  for (const listener of waiting.splice(0)) listener(view);
}
