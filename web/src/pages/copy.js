// A text to copy.
import { copyButton } from "../page.js";

/** Adds a button that copies the text of the `pre` in `place`. */
export function enhance(place) {
  place.append(copyButton(() => place.querySelector("pre").textContent));
}
