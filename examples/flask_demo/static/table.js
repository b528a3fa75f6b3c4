/** Rows in, DOM out: one element per row that stays the same element, so that typing and focus survive what arrives. */

const SLIDE = { duration: 350, easing: "cubic-bezier(.2, .8, .2, 1)" }

export class Table {
  #body
  #actions
  #rows = new Map() // id -> { record, element }
  #filled = false
  #moving = false

  constructor(body, actions) {
    this.#body = body
    this.#actions = actions
  }

  /** Makes the table equal these rows, in this order. A record that did not change is the same object as before. */
  show(records) {
    const before = this.#tops()
    const gone = new Map(this.#rows)
    for (const record of records) {
      gone.delete(record.id)
      this.#put(record)
    }
    for (const [id, { element }] of gone) {
      element.remove()
      this.#rows.delete(id)
    }
    this.#order(records)
    this.#slide(before)
    this.#filled = true
  }

  #put(record) {
    const row = this.#rows.get(record.id) ?? this.#make(record.id)
    if (row.record === record) return
    const { element } = row
    const input = element.querySelector("input")
    // Whoever is typing is not interrupted; the others see the new title.
    if (input !== document.activeElement || input.value === row.record?.title) input.value = record.title
    input.setAttribute("aria-label", `Title of page ${record.id}`)
    element.querySelector(".by").textContent = record.edited_by
    element.querySelector(".avatar").textContent = record.edited_by.at(record.edited_by.startsWith("a ") ? 2 : 0)
    element.querySelector(".avatar").dataset.name = record.edited_by
    element.querySelector("button").setAttribute("aria-label", `Delete ${record.title}`)
    row.record = record
    if (this.#filled) this.#flash(element)
  }

  #make(id) {
    const element = document.getElementById("row").content.firstElementChild.cloneNode(true)
    const row = { element, record: null }
    const input = element.querySelector("input")
    element.dataset.id = id
    input.addEventListener("change", async () => {
      if (this.#moving || input.value.trim() === row.record.title) return
      if (!(await this.#actions.rename(id, input.value))) input.value = row.record.title
    })
    input.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") input.value = row.record.title
      if (key === "Escape" || key === "Enter") input.blur()
    })
    element.querySelector("button").addEventListener("click", () => this.#actions.remove(id))
    this.#rows.set(id, row)
    return row
  }

  #order(records) {
    const focused = document.activeElement
    this.#moving = true
    let place = this.#body.firstElementChild
    for (const { id } of records) {
      const { element } = this.#rows.get(id)
      if (element === place) place = place.nextElementSibling
      else this.#body.insertBefore(element, place)
    }
    if (this.#body.contains(focused)) focused.focus()
    this.#moving = false
  }

  #tops() {
    return new Map(Array.from(this.#rows.values(), ({ element }) => [element, element.getBoundingClientRect().top]))
  }

  #slide(before) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return
    for (const [element, top] of before) {
      const distance = top - element.getBoundingClientRect().top
      if (element.isConnected && distance) element.animate([{ transform: `translateY(${distance}px)` }, {}], SLIDE)
    }
  }

  #flash(element) {
    element.classList.remove("fresh")
    void element.offsetWidth // so that the animation starts again
    element.classList.add("fresh")
  }
}
