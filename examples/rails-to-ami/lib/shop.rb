# frozen_string_literal: true

require "json"

# A Rack application: what `config.ru` runs, and what Rails is to its server.
class Shop
  PRICES = { "tea" => 420, "biscuits" => 180 }.freeze

  def initialize(assets: {})
    @assets = assets
  end

  def call(env)
    case env["PATH_INFO"]
    when "/up" then text(200, "ok")
    when "/" then html(page)
    when %r{\A/prices/(\w+)\z} then price(Regexp.last_match(1))
    else text(404, "there is no such page")
    end
  end

  private

  def price(name)
    cents = PRICES[name]
    cents ? [200, { "content-type" => "application/json" }, [JSON.generate(name: name, cents: cents)]] : text(404, "we do not sell #{name}")
  end

  def page
    style = @assets.fetch("shop.css", "shop.css")
    "<link rel=stylesheet href=/assets/#{style}><h1>Shop</h1>" + PRICES.map { |name, cents| "<p>#{name} #{cents / 100.0}</p>" }.join
  end

  def text(status, body) = [status, { "content-type" => "text/plain" }, [body]]

  def html(body) = [200, { "content-type" => "text/html" }, [body]]
end
