import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

/** Why there is no Chromium to test with; undefined when there is one. */
export function chromiumIsMissing(): string | undefined {
  const { status } = spawnSync('chromium', ['--version'], { stdio: 'ignore' })
  return status === 0 ? undefined : 'there is no chromium'
}

interface Message {
  readonly id?: number
  readonly method?: string
  readonly sessionId?: string
  readonly params?: Readonly<Record<string, unknown>>
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly message: string }
}
type Params = Readonly<Record<string, unknown>>

/** A headless Chromium that is spoken to over two pipes, in the DevTools protocol. */
export class Chromium {
  readonly #child: ChildProcess
  readonly #profile = mkdtempSync(join(tmpdir(), 'neve-chromium-'))
  readonly #answers = new Map<number, (message: Message) => void>()
  readonly #listeners = new Set<(message: Message) => void>()
  #last = 0

  constructor() {
    this.#child = spawn(
      'chromium',
      [
        ...['--headless=new', '--remote-debugging-pipe', '--no-sandbox', '--disable-gpu', '--no-first-run'],
        ...['--disable-background-networking', '--disable-component-update', '--hide-scrollbars'],
        ...['--disable-dev-shm-usage', `--user-data-dir=${this.#profile}`, 'about:blank'],
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    )
    let text = ''
    const pipe = this.#child.stdio[4] as Readable
    pipe.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
      const messages = text.split('\0')
      text = messages.pop()!
      for (const message of messages) this.#take(JSON.parse(message) as Message)
    })
  }

  #take(message: Message): void {
    if (message.id === undefined) for (const listener of [...this.#listeners]) listener(message)
    else this.#answers.get(message.id)?.(message)
  }

  async send(method: string, params: Params = {}, sessionId?: string): Promise<Params> {
    const id = ++this.#last
    const answer = new Promise<Message>((resolve) => this.#answers.set(id, resolve))
    const pipe = this.#child.stdio[3] as Writable
    pipe.write(`${JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) })}\0`)
    const { result, error } = await answer
    this.#answers.delete(id)
    if (error !== undefined) throw new Error(`${method}: ${error.message}`)
    return result ?? {}
  }

  listen(listener: (message: Message) => void): void {
    this.#listeners.add(listener)
  }

  /** A tab of its own. */
  async tab(options: { readonly scripts?: boolean } = {}): Promise<Tab> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    const tab = new Tab(this, sessionId as string)
    await tab.begin(options.scripts ?? false)
    return tab
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    // Asked to, it ends what it started, too; only then nobody writes into the folder any more.
    await this.send('Browser.close')
    await gone
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
}

/** A page that is open. */
export class Tab {
  readonly #browser: Chromium
  readonly #session: string
  /** What the page was told off for: violated policies, scripts that failed. */
  readonly complaints: string[] = []
  #waiting: { readonly method: string; readonly done: () => void }[] = []

  constructor(browser: Chromium, session: string) {
    this.#browser = browser
    this.#session = session
    browser.listen(({ method = '', sessionId, params = {} }) => {
      if (sessionId !== session) return
      if (method === 'Log.entryAdded') {
        const { level, text } = params['entry'] as { level: string; text: string }
        if (level === 'error') this.complaints.push(text)
      }
      const ready = this.#waiting.filter((one) => one.method === method)
      this.#waiting = this.#waiting.filter((one) => one.method !== method)
      for (const { done } of ready) done()
    })
  }

  async begin(scripts: boolean): Promise<void> {
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await this.send(`${domain}.enable`)
    if (!scripts) await this.send('Emulation.setScriptExecutionDisabled', { value: true })
  }

  send(method: string, params: Params = {}): Promise<Params> {
    return this.#browser.send(method, params, this.#session)
  }

  async #loaded(act: () => Promise<unknown>): Promise<void> {
    const loaded = new Promise<void>((done) => this.#waiting.push({ method: 'Page.loadEventFired', done }))
    await act()
    await loaded
  }

  async open(url: string): Promise<void> {
    await this.#loaded(() => this.send('Page.navigate', { url }))
  }

  /** How the page looks. */
  async look({ width = 1200, height = 800, dark = false, mobile = false } = {}): Promise<void> {
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile })
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]
    await this.send('Emulation.setEmulatedMedia', { features })
  }

  /** The value of an expression, which the debugger evaluates even where the page may run no scripts. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
    })) as { result: { value: T }; exceptionDetails?: { text: string; exception?: { description?: string } } }
    if (exceptionDetails !== undefined) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    }
    return result.value
  }

  text(selector: string): Promise<string> {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`)
  }

  /** The texts of all that match. */
  texts(selector: string): Promise<string[]> {
    return this.evaluate(
      `Array.from(document.querySelectorAll(${JSON.stringify(selector)}), (one) => one.innerText)`,
    )
  }

  /** Clicks with the mouse, and waits for the page that comes. */
  async follow(selector: string): Promise<void> {
    const place = await this.evaluate<{ x: number; y: number } | undefined>(
      `(() => { const one = document.querySelector(${JSON.stringify(selector)}); if (one === null) return undefined; one.scrollIntoView({ block: 'center' }); const { x, y, width, height } = one.getClientRects()[0]; return { x: x + width / 2, y: y + height / 2 } })()`,
    )
    if (place === undefined) throw new Error(`nothing matches ${selector}`)
    await this.#loaded(async () => {
      for (const type of ['mousePressed', 'mouseReleased']) {
        await this.send('Input.dispatchMouseEvent', { type, ...place, button: 'left', clickCount: 1 })
      }
    })
  }

  /** Types into a field, and sends the form with the return key. */
  async submit(selector: string, text: string): Promise<void> {
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).focus()`)
    await this.send('Input.insertText', { text })
    const key = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' }
    await this.#loaded(async () => {
      await this.send('Input.dispatchKeyEvent', { type: 'keyDown', ...key })
      await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...key })
    })
  }

  /** Writes what the page looks like to a file. */
  async screenshot(path: string): Promise<void> {
    const { data } = await this.send('Page.captureScreenshot', {
      format: 'png',
      captureBeyondViewport: false,
    })
    writeFileSync(path, Buffer.from(data as string, 'base64'))
  }
}
