// What a view may expect of the place that hosts it: the part of anywidget's contract that all hosts provide.

export interface Model {
  get(name: string): unknown;
  on(event: string, callback: () => void): void;
  off(event: string, callback: () => void): void;
}

export interface Host {
  model: Model;
  el: HTMLElement;
}

/** An element with a class, text and children. Text is set as text, never as HTML: names come from other people. */
export function element(
  tag: string,
  kind: string,
  content: string | Node[] = [],
  data: Record<string, string> = {},
): HTMLElement {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (typeof content === "string") made.textContent = content;
  else made.append(...content);
  for (const [name, value] of Object.entries(data)) made.setAttribute(`data-${name}`, value);
  return made;
}
