/** Plain DOM: one clone of a `<template>` per row, right before the template; a row's element stays the same element. */

import { watch } from "./watch.js"

const FIELDS = "[data-field]"

/**
 * Elements with `data-field="title"` show that field as text; `data-status` of the template's parent is the status.
 * @template [T=any]
 * @param {HTMLTemplateElement} template with one element in it
 * @param {import("./watch.js").Client | import("./watch.js").Collection<T>} source a client, or a collection that you close
 * @param {string | null} [name] of the channel, if `source` is a client
 * @param {{key?: (row: T) => unknown, sort?: (a: T, b: T) => number, fill?: (element: Element, row: T) => void}} [options]
 * @returns {() => void} takes the rows away and leaves the channel
 */
export function renderRows(template, source, name, { key = (/** @type {any} */ row) => row.id, sort, fill } = {}) {
  const shown = new Map() // key -> [element, row]
  const parent = /** @type {HTMLElement} */ (template.parentElement)
  const made = /** @type {HTMLElement} */ (template.content.firstElementChild)
  const end = watch(source, name, ({ rows, status }) => {
    parent.dataset.status = status
    const sorted = sort ? rows.toSorted(sort) : rows
    const keys = new Set(sorted.map(key))
    for (const [id, [element]] of shown) if (!keys.has(id)) element.remove(), shown.delete(id)
    // Backwards, and only what is not in its place is moved: that would cost it its focus.
    sorted.reduceRight((next, row) => {
      const [element, old] = shown.get(key(row)) ?? [made.cloneNode(true)]
      if (element.nextElementSibling !== next) parent.insertBefore(element, next)
      if (old === row) return element
      for (const field of [element, ...element.querySelectorAll(FIELDS)])
        if (field.matches(FIELDS)) field.textContent = row[field.dataset.field] ?? ""
      fill?.(element, row)
      shown.set(key(row), [element, row])
      return element
    }, template)
  })
  return () => (end(), [...shown.values()].forEach(([element]) => element.remove()))
}
