// The MQTT broker of a machine without mosquitto: aedes on one loopback port.
//
// usage: node broker.mjs SETTINGS.json      {"host", "port", "store", "users": {name: {password, publish, subscribe}}}
//
// It behaves as mosquitto does with a password file and an ACL file: a wrong login is refused, a publish that the
// rights do not cover is acknowledged and dropped, and so is a delivery. Retained messages are written to `store` when
// the process stops and every few seconds, and come back when it starts.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const SAVE_INTERVAL_MS = 5000
const BAD_USERNAME_OR_PASSWORD = 4
const WILL_POLL_MS = 5
const WILL_POLLS = 20
// Nobody may subscribe to what begins with "$" through a wildcard, so what is sent here is seen by no one.
const DROPPED = '$dropped'

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const users = new Map(Object.entries(settings.users))
const retained = new Map()

function matches (filter, topic) {
  const want = filter.split('/')
  const have = topic.split('/')
  if (topic.startsWith('$') && (want[0] === '#' || want[0] === '+')) return false
  for (let i = 0; i < want.length; i++) {
    if (want[i] === '#') return true
    if (i >= have.length || (want[i] !== '+' && want[i] !== have[i])) return false
  }
  return want.length === have.length
}

function may (client, right, topic) {
  if (users.size === 0 || !client) return true
  const user = users.get(client.user)
  return user !== undefined && user[right].some((filter) => matches(filter, topic))
}

// aedes acknowledges a publish before it carries it out, so the will of a client that dies right then would overtake
// what the client said last, and a retained "online" would outlive it. What a broken connection cut off never comes.
function afterItsPublishes (client, done, polls = WILL_POLLS) {
  if (!client.unpublished || polls === 0) return done(null)
  setTimeout(afterItsPublishes, WILL_POLL_MS, client, done, polls - 1)
}

const broker = await Aedes.createBroker({
  authenticate (client, username, password, done) {
    if (users.size === 0) return done(null, true)
    const user = users.get(username)
    if (user !== undefined && password !== undefined && password.toString() === user.password) {
      client.user = username
      return done(null, true)
    }
    done(Object.assign(new Error('bad user name or password'), { returnCode: BAD_USERNAME_OR_PASSWORD }), null)
  },
  authorizePublish (client, packet, done) {
    if (packet.topic.startsWith('$') || !may(client, 'publish', packet.topic)) {
      packet.topic = DROPPED
      packet.retain = false
    }
    if (client && packet === client.will) return afterItsPublishes(client, done)
    if (client) client.unpublished = (client.unpublished ?? 0) + 1
    done(null)
  },
  authorizeForward (client, packet) {
    return may(client, 'subscribe', packet.topic) ? packet : null
  }
})

broker.on('publish', (packet, client) => {
  if (client?.unpublished && !packet.topic.startsWith('$SYS')) client.unpublished--
  if (!packet.retain || packet.topic.startsWith('$')) return
  if (packet.payload.length === 0) retained.delete(packet.topic)
  else retained.set(packet.topic, { qos: packet.qos, payload: Buffer.from(packet.payload).toString('base64') })
})

function save () {
  writeFileSync(settings.store + '.new', JSON.stringify(Object.fromEntries(retained)), { mode: 0o600 })
  renameSync(settings.store + '.new', settings.store)
}

function load () {
  let text
  try {
    text = readFileSync(settings.store, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return {}
    throw error
  }
  return JSON.parse(text)
}

for (const [topic, { qos, payload }] of Object.entries(load())) {
  await new Promise((resolve, reject) => broker.publish(
    { cmd: 'publish', topic, qos, retain: true, payload: Buffer.from(payload, 'base64') },
    (error) => error ? reject(error) : resolve()))
}

const server = createServer(broker.handle)
const timer = setInterval(save, SAVE_INTERVAL_MS)

function stop () {
  clearInterval(timer)
  save()
  server.close()
  broker.close(() => process.exit(0))
}

process.on('SIGTERM', stop)
process.on('SIGINT', stop)
server.listen(settings.port, settings.host, () => console.log(`aedes is listening on ${settings.host}:${settings.port}`))
